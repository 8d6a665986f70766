"""What a layer of neurons is given on Loihi 2, besides its states and coefficients."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

# Bits of a graded message's payload: of up to 32, Lava's public models use 24, other work 16.
# A readout sends its state, which takes 24; an input has at most 9, and 16 are the portable width.
MESSAGE_BITS = 24
INPUT_MESSAGE_BITS = 16


@dataclass(frozen=True)
class Microcode:
    """The neuron program of one layer on the chip: an assembled file, and its integers by name.

    reset_interval: steps from one reset to the next, a power of two. reset_step: in which step of
    each, counted from 0, the neurons drop their input, set their states to 0 and send nothing. The
    chip's step counter is taken to be Lava's, which is 1 in the first step.
    """

    path: Path
    constants: dict[str, int]
    reset_interval: int
    reset_step: int

    @property
    def all_constants(self) -> dict[str, int]:
        """With the reset's: it is due where ``counter & reset_mask == reset_match``."""
        mask = self.reset_interval - 1
        return {**self.constants, "reset_mask": mask, "reset_match": (self.reset_step + 1) & mask}
