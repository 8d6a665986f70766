"""The tables: means over seeds beside the published values, as Markdown, CSV and JSON."""

from __future__ import annotations

import csv
import io
import json
import statistics
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from brf_lava.config.recipe import recipe_for
from brf_lava.io.files import write_bytes
from brf_lava.reproduce.folders import RunFolder
from brf_lava.reproduce.published import BASELINE, FRACTIONS, NEURONS, PUBLISHED, TASKS, Published
from brf_lava.reproduce.records import RunRecord, differences
from brf_lava.versions import versions

FORMAT = "brf-lava-reproduce"
SCHEMA = 2  # 1 had no lines of the tables, and nothing published
HEAD = ("task", "neuron")
THEIRS = "publ."  # name of a column: the published values of the one before it
GAP = 2  # letters between two columns on a terminal
FILES = ("tables.md", "table1.csv", "table2.csv", "results.json")


@dataclass(frozen=True)
class Spread:
    """Mean and sample standard deviation, None of a single value."""

    mean: float
    std: float | None

    @classmethod
    def of(cls, values: Iterable[float]) -> Spread:
        values = list(values)
        return cls(statistics.fmean(values), statistics.stdev(values) if len(values) > 1 else None)

    def __format__(self, spec: str) -> str:
        mean = format(self.mean, spec)
        return mean if self.std is None else f"{mean} ± {self.std:{spec}}"


@dataclass(frozen=True)
class Row:
    """One cell of the tables, over its seeds.

    accuracy, integer_accuracy: percent, on the test split. sops, integer_sops: per sample. ratio:
    of the mean SOPs to those of ALIF on the same task, None without such runs. seconds: of a
    training. epochs: until each of `FRACTIONS` of the final accuracy, see `epochs_to`. changes: how
    the recipe differs from the shipped one.
    """

    task: str
    neuron: str
    seeds: int
    parameters: int
    accuracy: Spread
    sops: Spread
    sops_per_step: Spread
    ratio: float | None
    seconds: Spread
    integer_accuracy: Spread
    integer_sops: Spread
    epochs: tuple[Spread, ...]
    changes: tuple[str, ...]

    @property
    def published(self) -> Published:
        return PUBLISHED[self.task, self.neuron]


def epochs_to(fraction: float, accuracy: Sequence[float], kept: int) -> int:
    """The first epoch, from 1, whose validation accuracy is at least `fraction` of the final one.

    The final accuracy is that of the epoch that was kept, the one with the lowest validation loss:
    it is what the test split was measured with. accuracy: of every epoch; kept: from 1.
    """
    final = accuracy[kept - 1]
    return next(epoch for epoch, value in enumerate(accuracy, 1) if value >= fraction * final)


def rows(records: Iterable[RunRecord]) -> list[Row]:
    """A row for each cell with runs, in the order of the published tables."""
    cells: dict[tuple[str, str], list[RunRecord]] = {}
    for record in records:
        cells.setdefault(record.cell, []).append(record)
    return [
        _row(cells[task, neuron], cells.get((task, BASELINE), []))
        for task in TASKS
        for neuron in NEURONS
        if (task, neuron) in cells
    ]


def _row(runs: list[RunRecord], baseline: list[RunRecord]) -> Row:
    sops = Spread.of(run.sops for run in runs)
    base = statistics.fmean(run.sops for run in baseline) if baseline else 0.0
    return Row(
        task=runs[0].task,
        neuron=runs[0].neuron,
        seeds=len(runs),
        parameters=runs[0].parameters,
        accuracy=Spread.of(100 * run.accuracy for run in runs),
        sops=sops,
        sops_per_step=Spread.of(run.sops / run.steps for run in runs),
        ratio=sops.mean / base if base else None,
        seconds=Spread.of(run.seconds for run in runs),
        integer_accuracy=Spread.of(100 * run.integer.accuracy for run in runs),
        integer_sops=Spread.of(run.integer.sops for run in runs),
        epochs=tuple(
            Spread.of(epochs_to(fraction, run.validation_accuracy, run.epoch) for run in runs)
            for fraction in FRACTIONS
        ),
        changes=tuple(_changes(runs[0])),
    )


def _changes(run: RunRecord) -> list[str]:
    return differences(run.recipe, recipe_for(*run.cell))


@dataclass(frozen=True)
class Table:
    """A table as text. Its first two columns are words, the others numbers."""

    title: str
    columns: tuple[str, ...]
    rows: tuple[tuple[str, ...], ...]

    def parts(self, width: int) -> list[Table]:
        """The same in tables of at most so many letters, each with the first two columns.

        As few as possible, and these as narrow as possible. What is published stays beside what
        was measured, even where that alone is wider.
        """
        fewest = len(self._packed(width))
        found = next(
            parts for each in range(width + 1) if len(parts := self._packed(each)) <= fewest
        )
        titles = [self.title, *[f"{self.title}, continued"] * (len(found) - 1)]
        return [self._of(part, title) for part, title in zip(found, titles, strict=True)]

    def _packed(self, width: int) -> list[list[int]]:
        """The columns of each part, filled one after the other."""
        head = list(range(len(HEAD)))
        widths = [
            max(map(len, column)) + GAP for column in zip(self.columns, *self.rows, strict=True)
        ]
        parts: list[list[int]] = []
        for group in _groups(self.columns):
            fits = parts and sum(widths[index] for index in (*parts[-1], *group)) - GAP <= width
            if fits:
                parts[-1] += group
            else:
                parts.append(head + group)
        return parts

    def _of(self, indices: Sequence[int], title: str) -> Table:
        columns, *rows = (
            tuple(line[index] for index in indices) for line in (self.columns, *self.rows)
        )
        return Table(title, columns, tuple(rows))


def _groups(columns: Sequence[str]) -> list[list[int]]:
    """The columns behind the first two, those that stay side by side in one list."""
    groups: list[list[int]] = []
    for index, name in enumerate(columns[len(HEAD) :], len(HEAD)):
        if name == THEIRS:
            groups[-1].append(index)
        else:
            groups.append([index])
    return groups


def as_text(cells: Sequence[Row]) -> tuple[Table, ...]:
    """The tables to read: the published values beside ours, what is ours alone, convergence."""
    table_1 = Table(
        "Table 1, measured and published",
        (
            *(*HEAD, "seeds", "parameters", THEIRS, "accuracy %", THEIRS),
            *("SOPs", THEIRS, "SOPs/step", THEIRS, f"vs {BASELINE}", THEIRS),
        ),
        tuple(
            (
                *(row.task, row.neuron, str(row.seeds)),
                *(f"{row.parameters:,}", f"{row.published.parameters:,}"),
                *(f"{row.accuracy:.2f}", f"{row.published.accuracy:.1f}"),
                *(f"{row.sops:,.1f}", f"{row.published.sops:,.1f}"),
                *(f"{row.sops_per_step:.2f}", f"{row.published.sops_per_step:.2f}"),
                *("" if row.ratio is None else f"{row.ratio:.2f}", f"{row.published.ratio:.2f}"),
            )
            for row in cells
        ),
    )
    more = Table(
        "Measured alone: the network in integers, and training time",
        (*HEAD, "integer accuracy %", "integer SOPs", "training"),
        tuple(
            (
                *(row.task, row.neuron),
                *(f"{row.integer_accuracy:.2f}", f"{row.integer_sops:,.1f}"),
                duration(row.seconds.mean),
            )
            for row in cells
        ),
    )
    table_2 = Table(
        "Table 2: epochs until a share of the final accuracy, measured and published",
        (*HEAD, "seeds", *(name for share in FRACTIONS for name in (f"{share:.0%}", THEIRS))),
        tuple(
            (
                *(row.task, row.neuron, str(row.seeds)),
                *(
                    text
                    for ours, theirs in zip(
                        row.epochs, row.published.epochs or ("",) * len(FRACTIONS), strict=True
                    )
                    for text in (f"{ours:.1f}", str(theirs))
                ),
            )
            for row in cells
        ),
    )
    return table_1, more, table_2


def duration(seconds: float) -> str:
    """In the unit that suits its length."""
    if seconds < 120:
        return f"{seconds:.1f} s"
    return f"{seconds / 60:.1f} min" if seconds < 7200 else f"{seconds / 3600:.1f} h"


EXPLANATION = f"""\
Measured: mean over seeds ± sample standard deviation. Published ("publ."): Higuchi et al. 2024, \
means of 5 runs, as printed. SOPs: spikes of hidden neurons per sample of the test split; vs \
{BASELINE}: their mean over that of {BASELINE} on the same task. Parameters: all trained \
numbers, pruned weights included. Integer: the exported network on the integer engine. Training: \
sum over the epochs, mean over seeds; trainings that ran side by side shared the machine.

The final accuracy of Table 2 is the validation accuracy of the epoch that was kept, the one with \
the lowest validation loss; an epoch counts as reaching a share of it when its own validation \
accuracy is at least that. How the published epochs were counted is not known in this detail, and \
the share of their second column is our reading."""


def notes(records: Sequence[RunRecord], unfinished: Sequence[RunFolder]) -> list[str]:
    """What a reader of the tables must know of these runs."""
    lines = []
    for task in dict.fromkeys(record.task for record in records):
        data = next(record.data for record in records if record.task == task)
        line = f"{task}: trained and tested on {data.description.split(', steps permuted')[0]}."
        if data.kind.startswith("synthetic"):
            line += " Scores on synthetic data say nothing about the published ones."
        lines.append(line)
    for record in {record.cell: record for record in records}.values():
        name = f"{record.task}-{record.neuron.lower()}"
        if what := _changes(record):
            lines.append(f"{name}: the shipped recipe with {'; '.join(what)}.")
        if record.neuron == BASELINE:
            lines += _about_parameters(name, record)
    if unfinished:
        lines.append(f"Not finished, not counted: {', '.join(each.name for each in unfinished)}.")
    return lines


def _about_parameters(name: str, run: RunRecord) -> list[str]:
    """Why the number of parameters of an ALIF network is not the published one."""
    ours, theirs = run.parameters, PUBLISHED[run.cell].parameters
    if ours == theirs or run.recipe.network != recipe_for(*run.cell).network:
        return []
    hence = (
        "hence fewer parameters"
        if ours < theirs
        else "but all its hidden layers are recurrent, hence more parameters"
    )
    return [
        f"{name}: our {BASELINE} network has no biases, {hence} than published ({ours:,} against "
        f"{theirs:,})."
    ]


def markdown(tables: Sequence[Table], remarks: Sequence[str]) -> str:
    """The tables with their explanation and notes."""
    parts = []
    for table in tables:
        rules = ("---", "---", *("---:" for _ in table.columns[2:]))
        lines = (table.columns, rules, *table.rows)
        parts += [
            f"## {table.title}\n",
            *(f"| {' | '.join(line)} |" for line in lines),
            "",
        ]
    parts += [EXPLANATION, "", *(f"- {remark}" for remark in remarks)]
    return "\n".join(parts) + "\n"


def _csv(lines: Sequence[dict[str, Any]]) -> bytes:
    text = io.StringIO()
    writer = csv.DictWriter(text, list(lines[0]), lineterminator="\n")
    writer.writeheader()
    writer.writerows(lines)
    return text.getvalue().encode()


def _columns(name: str, spread: Spread) -> dict[str, float | None]:
    return {f"{name}_mean": spread.mean, f"{name}_std": spread.std}


def _table_1(row: Row) -> dict[str, Any]:
    published = row.published
    return {
        "task": row.task,
        "neuron": row.neuron,
        "seeds": row.seeds,
        "parameters": row.parameters,
        **_columns("accuracy_percent", row.accuracy),
        **_columns("sops", row.sops),
        **_columns("sops_per_step", row.sops_per_step),
        f"sops_vs_{BASELINE.lower()}": row.ratio,
        **_columns("training_seconds", row.seconds),
        **_columns("integer_accuracy_percent", row.integer_accuracy),
        **_columns("integer_sops", row.integer_sops),
        "published_parameters": published.parameters,
        "published_accuracy_percent": published.accuracy,
        "published_sops": published.sops,
        "published_sops_per_step": published.sops_per_step,
        f"published_sops_vs_{BASELINE.lower()}": published.ratio,
        "recipe_changes": "; ".join(row.changes),
    }


def _table_2(row: Row) -> dict[str, Any]:
    line: dict[str, Any] = {"task": row.task, "neuron": row.neuron, "seeds": row.seeds}
    for index, fraction in enumerate(FRACTIONS):
        name = f"epochs_to_{100 * fraction:.0f}_percent"
        line |= _columns(name, row.epochs[index])
        line[f"published_{name}"] = row.published.epochs and row.published.epochs[index]
    line["recipe_changes"] = "; ".join(row.changes)
    return line


def write_tables(
    records: Sequence[RunRecord], unfinished: Sequence[RunFolder], out: Path
) -> list[Row]:
    """Write `FILES` into `out`, and return the rows in them.

    records: at least one. Raises: BrfLavaError as `write_bytes`.
    """
    cells = rows(records)
    tables, remarks = as_text(cells), notes(records, unfinished)
    table_1, table_2 = [_table_1(row) for row in cells], [_table_2(row) for row in cells]
    contents = {
        "format": FORMAT,
        "schema": SCHEMA,
        "versions": versions(),
        "table1": table_1,
        "table2": table_2,
        "runs": [record.as_dict() for record in records],
        "unfinished": [
            {"task": each.task, "neuron": each.neuron, "seed": each.seed} for each in unfinished
        ],
        "notes": remarks,
    }
    written = (
        markdown(tables, remarks).encode(),
        _csv(table_1),
        _csv(table_2),
        (json.dumps(contents, indent=2) + "\n").encode(),
    )
    for name, content in zip(FILES, written, strict=True):
        write_bytes(out / name, content)
    return cells
