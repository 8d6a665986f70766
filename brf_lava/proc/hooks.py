"""What processes of the models call in every step, in their child process, past all ports.

What the parent should read of it lies in shared memory (`io.shared_memory.shared_array`). Steps are
counted from 1, as Lava does.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable
from typing import Any

from numpy.typing import NDArray

# Takes a step, the outputs of a layer [B, N], and its states after the step, [B, N] each. A process
# behind a port could record outputs too, but every process and connection costs time in each step,
# and states never leave through a port.
Probe = Callable[[int, NDArray[Any], Iterable[NDArray[Any]]], None]

# Whether a step of a layer is a blank one, between two sequences of one stream: it drops what
# arrives, zeroes its states and sends zeros. Each layer has it one step after the layer before.
# Zeroing the states alone is not exact: the recurrent connection still delivers old spikes.
Blanks = Callable[[int], bool]

# Waits for the input of a step, and returns it: (B, I).
Feed = Callable[[int], NDArray[Any]]
