"""The options of brf-lava run that record states."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

import click

from brf_lava.cli.options import PATH, given, grouped
from brf_lava.errors import ParameterError
from brf_lava.io.printable import on_one_line

if TYPE_CHECKING:
    from brf_lava.backends.states import Recording
    from brf_lava.data.dataset import Dataset, Split
    from brf_lava.network.layers import FixedNetwork


@dataclass(frozen=True)
class ProbeOptions:
    """What to record, and the file it goes to; None where an option was not given."""

    probe: str | None
    probe_layer: str | None
    probe_neurons: str | None
    probe_out: Path | None

    def check(self) -> None:
        """Refuse what can be refused before anything is read."""
        from brf_lava.backends.states import KIND
        from brf_lava.io.files import check_writable

        if self.probe is None or self.probe_out is None:
            if options := given(self):
                missing = "--probe" if self.probe is None else "--probe-out"
                raise ParameterError(
                    f"{', '.join(options)}: not without {missing}. Name the states with --probe "
                    "and their file with --probe-out."
                )
            return
        check_writable(self.probe_out, KIND)

    def recording(self, network: FixedNetwork, split: Split) -> Recording | None:
        """Room for the states, or None without --probe. Raises: ParameterError."""
        from brf_lava.backends.states import new_recording, parse_numbers

        if self.probe is None:
            return None
        samples, steps, _ = split.x.shape
        return new_recording(
            network,
            steps,
            samples,
            [name.strip() for name in self.probe.split(",")],
            self.probe_layer or "hidden1",
            None if self.probe_neurons is None else parse_numbers(self.probe_neurons),
        )

    def write(self, recording: Recording, dataset: Dataset, backend: str) -> list[str]:
        """Write the states, and return a line that says so."""
        from brf_lava.backends.states import write_recording

        if self.probe_out is None:
            return []
        write_recording(
            recording,
            self.probe_out,
            backend=backend,
            data=dataset.source,
            step_seconds=dataset.step_seconds,
        )
        steps, samples, neurons = next(iter(recording.values.values())).shape
        return [
            f"Wrote {on_one_line(self.probe_out)}: {', '.join(recording.values)} of {neurons} "
            f"neurons of {recording.layer}, {steps} steps of {samples} samples."
        ]


probe_options = grouped(
    "probe",
    ProbeOptions,
    "Options to record states",
    click.option(
        "--probe",
        metavar="u,v,...",
        help="Record these states of a layer's neurons; z are its spikes.",
    ),
    click.option(
        "--probe-layer",
        metavar="LAYER",
        help="hidden1 (the default), hidden2, ... or readout.",
    ),
    click.option("--probe-neurons", metavar="0-7,12", help="Only these, counted from 0."),
    click.option(
        "--probe-out",
        type=PATH,
        metavar="FILE",
        help="The HDF5 file (.h5) that the states go to.",
    ),
)
