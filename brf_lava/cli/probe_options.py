"""The options of brf-lava run that record states."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

import click

from brf_lava.cli.options import PATH, Command, kept, kept_options
from brf_lava.errors import ParameterError
from brf_lava.io.printable import on_one_line

if TYPE_CHECKING:
    from brf_lava.backends.base import Backend
    from brf_lava.backends.states import Recording, Selection
    from brf_lava.data.dataset import Dataset
    from brf_lava.network.layers import FixedNetwork

STATES, LAYER, NEURONS, OUT = "--probe", "--probe-layer", "--probe-neurons", "--probe-out"
OPTIONS: tuple[tuple[str, Any, str, str], ...] = (
    (OUT, PATH, "FILE", "With --probe: where the states go, HDF5 (.h5) or .npz."),
    (NEURONS, str, "0-7,12", "With --probe: only these, counted from 0."),
    (LAYER, str, "LAYER", "With --probe: hidden1 (the default), hidden2, ... or readout."),
    (STATES, str, "u,v,...", "Record these states of a layer's neurons; z are its spikes."),
)


def probe_options(command: Command) -> Command:
    """Options for recording states, kept for `chosen_probe`."""
    return kept_options(command, OPTIONS)


@dataclass(frozen=True)
class Probe:
    """What to record, and the file it goes to."""

    selection: Selection
    out: Path

    def recording(self, network: FixedNetwork, steps: int, samples: int) -> Recording:
        """Room for it. Raises: ParameterError as `backends.states.new_recording`."""
        from brf_lava.backends.states import new_recording

        return new_recording(network, [self.selection], steps, samples)

    def write(
        self, recording: Recording, network: FixedNetwork, backend: str, dataset: Dataset
    ) -> None:
        """Write it, and say so. Raises: BrfLavaError."""
        from brf_lava.backends.states import write_recording

        write_recording(
            recording,
            network,
            self.out,
            backend=backend,
            data=dataset.source,
            step_seconds=dataset.step_seconds,
        )
        (layer,) = recording.layers
        steps, samples, neurons = next(iter(layer.values.values())).shape
        click.echo(
            f"Wrote {on_one_line(self.out)}: {', '.join(layer.values)} of {neurons} neurons of "
            f"{layer.name}, {steps} steps of {samples} samples."
        )


def chosen_probe(backend: Backend, *others: Path | None, beside: bool = False) -> Probe | None:
    """What the options ask for, None without --probe.

    others: files that the command reads or writes; beside: it classifies something else than test
    data. Raises: ParameterError for options that do not go together; BrfLavaError for a file that
    could not be written.
    """
    from brf_lava.backends.states import Selection, check_suffix, parse_numbers
    from brf_lava.io.files import check_writable
    from brf_lava.run.execute import check_states

    given = kept(STATES, LAYER, NEURONS, OUT)
    if not given:
        return None
    if STATES not in given or OUT not in given:
        missing = OUT if STATES in given else STATES
        raise ParameterError(
            f"{', '.join(given)}: not without {missing}. Name the states with {STATES} and their "
            f"file with {OUT}."
        )
    if beside:
        raise ParameterError(
            f"{STATES}: records runs on the test data; --input and --stream do not go with it. "
            "Leave them out."
        )
    check_states(backend, STATES)
    out: Path = given[OUT]
    check_suffix(out)
    files = [path for path in others if path is not None]
    if out.resolve() in {path.resolve() for path in files}:
        raise ParameterError(f"{OUT} {out}: is the name of another file of this run. Name another.")
    check_writable(out, *files)
    numbers = parse_numbers(given[NEURONS]) if NEURONS in given else None
    states = tuple(name.strip() for name in given[STATES].split(","))
    return Probe(Selection(states, given.get(LAYER, "hidden1"), numbers), out)
