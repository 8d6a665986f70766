"""The options of brf-lava run about streams and early decisions."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

from brf_lava.cli.options import PATH, Command, kept, kept_options
from brf_lava.errors import ParameterError

if TYPE_CHECKING:
    from brf_lava.network.layers import FixedNetwork
    from brf_lava.run.early import EarlyMeter

STREAM, LEAD_SCALE, DECIDE, EARLY = "--stream", "--lead-scale", "--decide", "--early"
OPTIONS: tuple[tuple[str, Any, str, str], ...] = (
    (
        EARLY,
        str,
        "0.5,1,...",
        "For one class per sample: also show how early the lead of the best class, in units of the "
        "readout, reaches each margin, and what accuracy it would cost to decide then.",
    ),
    (
        DECIDE,
        float,
        "MARGIN",
        "With --stream, for one class per sequence: say 'decided' at the first step where the lead "
        "of the best class reaches this margin.",
    ),
    (
        LEAD_SCALE,
        str,
        "A,B",
        "With --stream, for ecg: the standard deviation of each lead. Lines may then be "
        '{"signal": [a, b]}, raw samples at 250 Hz, and are encoded as the training data were.',
    ),
    (
        STREAM,
        PATH,
        "FILE|-",
        "Answer the steps in this file, - for standard input, one by one. A JSON line per step: a "
        'list of all inputs, or {"events": [...]} with those that spike; {"reset": true} between '
        "two sequences. A JSON line per answer: one step per layer late on sim, at once on engine; "
        "a reset or the end of the input brings the rest. Blank lines are skipped.",
    ),
)


def stream_options(command: Command) -> Command:
    """Options about streams, kept for `chosen_stream`."""
    return kept_options(command, OPTIONS)


@dataclass(frozen=True)
class StreamOptions:
    """What was asked for. source: the stream, or None for a run on the test data.

    lead_scale: as of `ecg.live.LiveEcg`; decide: as of `run.stream.Stream`; early: margins,
    none if empty.
    """

    source: Path | None
    lead_scale: tuple[float, ...] | None
    decide: float | None
    early: tuple[float, ...]

    def meter(self, network: FixedNetwork) -> EarlyMeter | None:
        """What takes the activity of a run, where margins were given. Raises: ParameterError."""
        from brf_lava.run.early import EarlyMeter, check_early

        if not self.early:
            return None
        check_early(network, self.early, EARLY)
        return EarlyMeter(network, self.early)


def chosen_stream(*, record: bool, compared: bool) -> StreamOptions:
    """The options of this command.

    record, compared: whether it has an --input, or other options that do not go with a stream.
    Raises: ParameterError for options that do not go together, and for what are no numbers.
    """
    options = STREAM, LEAD_SCALE, DECIDE, EARLY
    source, scale, decide, early = map(kept(*options).get, options)
    if source is None and (decide is not None or scale is not None):
        raise ParameterError(f"{DECIDE} and {LEAD_SCALE} say what becomes of a {STREAM}; name it.")
    if source is not None and (record or compared or early is not None):
        raise ParameterError(
            f"{STREAM}: a stream is answered step by step, and nothing compared; --input, --csv, "
            "--annotations-out, --data, --unlabeled, --permutation, --limit, --batch, --check, "
            f"--reference, {EARLY} and --out do not go with it. Leave them out."
        )
    if early is not None and record:
        raise ParameterError(f"{EARLY}: an --input has no labels to judge by. Leave it out.")
    return StreamOptions(
        source=source,
        lead_scale=None if scale is None else parse_numbers(scale, LEAD_SCALE),
        decide=decide,
        early=() if early is None else parse_numbers(early, EARLY),
    )


def parse_numbers(text: str, option: str) -> tuple[float, ...]:
    """Raises: ParameterError unless these are numbers with commas between."""
    try:
        return tuple(float(part) for part in text.split(","))
    except ValueError:
        raise ParameterError(
            f"{option} {text!r}: numbers with commas between are needed, such as 0.5,1."
        ) from None
