"""The tables: means over seeds next to the published values, as Markdown, CSV and JSON."""

from __future__ import annotations

import csv
import io
import json
import statistics
from collections.abc import Iterable, Sequence
from pathlib import Path
from typing import Any

from brf_lava.config.recipe import recipe_for
from brf_lava.io.files import write_bytes
from brf_lava.reproduce.folders import RunFolder
from brf_lava.reproduce.published import BASELINE, FRACTIONS, PUBLISHED
from brf_lava.reproduce.records import RunRecord, differences
from brf_lava.versions import versions

FORMAT = "brf-lava-reproduce"
SCHEMA = 2  # 1 had no lines of the tables, and nothing published
HEAD = ("task", "neuron")
FILES = ("tables.md", "table1.csv", "table2.csv", "results.json")

# Columns: heading, name in a line, format, and format of the published value if there is one.
# Each table fits a terminal.
SHARES = [f"{100 * fraction:.0f}" for fraction in FRACTIONS]
TABLES = {
    "Table 1, accuracy, measured and published": (
        ("seeds", "seeds", "d", ""),
        ("parameters", "parameters", ",", ","),
        ("accuracy %", "accuracy_percent", ".2f", ".1f"),
    ),
    "Table 1, spikes, measured and published": (
        ("SOPs", "sops", ",.1f", ",.1f"),
        ("SOPs/step", "sops_per_step", ".2f", ".2f"),
        (f"vs {BASELINE}", f"sops_vs_{BASELINE.lower()}", ".2f", ".2f"),
    ),
    "Measured alone: the network in integers, and training time": (
        ("integer accuracy %", "integer_accuracy_percent", ".2f", ""),
        ("integer SOPs", "integer_sops", ",.1f", ""),
        ("training s", "training_seconds", ",.1f", ""),
    ),
    "Table 2: epochs until a share of the final accuracy, measured and published": (
        ("seeds", "seeds", "d", ""),
        *((f"{share}%", f"epochs_to_{share}_percent", ".1f", "d") for share in SHARES),
    ),
}

Line = dict[str, Any]  # of a CSV file: one task and neuron, over its seeds


def epochs_to(fraction: float, accuracy: Sequence[float], kept: int) -> int:
    """Return the first epoch whose accuracy is at least a fraction of the final one.

    Args:
        fraction: 0 to 1.
        accuracy: Validation accuracy of every epoch.
        kept: The epoch, from 1, that has the final accuracy: the one that was tested.
    """
    final = accuracy[kept - 1]
    return next(epoch for epoch, value in enumerate(accuracy, 1) if value >= fraction * final)


def table_lines(records: Sequence[RunRecord]) -> list[Line]:
    """Return a line for each task and neuron, in the order of the published tables."""
    cells = {cell: [run for run in records if run.folder.cell == cell] for cell in PUBLISHED}
    return [_line(runs, cells[task, BASELINE]) for (task, _), runs in cells.items() if runs]


def _line(runs: Sequence[RunRecord], baseline: Sequence[RunRecord]) -> Line:
    folder = runs[0].folder
    published = PUBLISHED[folder.cell]
    base = statistics.fmean(run.sops for run in baseline) if baseline else 0.0
    line = {
        "task": folder.task,
        "neuron": folder.neuron,
        "seeds": len(runs),
        "parameters": runs[0].parameters,
        **_spread("accuracy_percent", (100 * run.accuracy for run in runs)),
        **_spread("sops", (run.sops for run in runs)),
        **_spread("sops_per_step", (run.sops / run.steps for run in runs)),
        f"sops_vs_{BASELINE.lower()}": statistics.fmean(run.sops for run in runs) / base
        if base
        else None,
        **_spread("training_seconds", (run.seconds for run in runs)),
        **_spread("integer_accuracy_percent", (100 * run.integer.accuracy for run in runs)),
        **_spread("integer_sops", (run.integer.sops for run in runs)),
        **{f"published_{name}": value for name, value in vars(published).items()},
    }
    del line["published_epochs"]  # they get a column each
    for index, (share, fraction) in enumerate(zip(SHARES, FRACTIONS, strict=True)):
        name = f"epochs_to_{share}_percent"
        reached = (epochs_to(fraction, run.validation_accuracy, run.epoch) for run in runs)
        line |= _spread(name, reached)
        line[f"published_{name}"] = published.epochs and published.epochs[index]
    return {**line, "recipe_changes": _changes(runs[0])}


def _spread(name: str, values: Iterable[float]) -> Line:
    """Mean and sample standard deviation, None of a single value."""
    values = list(values)
    std = statistics.stdev(values) if len(values) > 1 else None
    return {f"{name}_mean": statistics.fmean(values), f"{name}_std": std}


def _changes(run: RunRecord) -> str:
    """How the recipe differs from the shipped one."""
    return "; ".join(differences(run.recipe, recipe_for(*run.folder.cell)))


def columns(title: str, lines: Sequence[Line]) -> list[tuple[str, ...]]:
    """Return the columns of this one of the `TABLES` as text, each with its heading first."""
    columns = [(name, *(line[name] for line in lines)) for name in HEAD]
    for heading, name, ours, theirs in TABLES[title]:
        columns.append((heading, *(_text(line, name, ours) for line in lines)))
        if theirs:
            published = (_text(line, f"published_{name}", theirs) for line in lines)
            columns.append(("publ.", *published))
    return columns


def _text(line: Line, name: str, spec: str) -> str:
    """A value of a line, or a mean with its deviation; nothing where there is none."""
    mean, std = line.get(f"{name}_mean", line.get(name)), line.get(f"{name}_std")
    if mean is None:
        return ""
    return f"{mean:{spec}}" if std is None else f"{mean:{spec}} ± {std:{spec}}"


def _markdown(title: str, lines: Sequence[Line]) -> str:
    names, *rows = zip(*columns(title, lines), strict=True)
    rules = ["---" if name in HEAD else "---:" for name in names]
    texts = (f"| {' | '.join(row)} |\n" for row in (names, rules, *rows))
    return f"## {title}\n\n{''.join(texts)}\n"


EXPLANATION = f"""\
Measured: mean over seeds ± sample standard deviation. Published ("publ."): Higuchi et al. 2024, \
means of 5 runs, as printed. SOPs: spikes of hidden neurons per sample of the test split; vs \
{BASELINE}: their mean over that of {BASELINE} on the same task. Parameters: all trained numbers, \
pruned weights included; our {BASELINE} networks have no biases and, on S-MNIST and PS-MNIST, \
recurrent connections in all hidden layers, hence other numbers than published. Integer: the \
exported network on the integer engine. Training: sum over the epochs; trainings that ran side by \
side shared the machine.

The final accuracy of Table 2 is the validation accuracy of the epoch that was kept, the one with \
the lowest validation loss; an epoch counts as reaching a share of it when its own validation \
accuracy is at least that. How the published epochs were counted is not known in this detail, and \
the share of their second column is our reading."""


def notes(records: Sequence[RunRecord], unfinished: Sequence[RunFolder]) -> list[str]:
    """Return what a reader of the tables must know of these runs, a sentence each."""
    notes = []
    for task, data in {run.folder.task: run.data for run in records}.items():
        note = f"{task}: trained and tested on {data.description.split(', steps permuted')[0]}."
        if data.kind.startswith("synthetic"):
            note += " Scores on synthetic data say nothing about the published ones."
        notes.append(note)
    notes += [
        f"{run.folder.recipe_name}: the shipped recipe with {changes}."
        for run in {run.folder.cell: run for run in records}.values()
        if (changes := _changes(run))
    ]
    if unfinished:
        notes.append(f"Not finished, not counted: {', '.join(each.name for each in unfinished)}.")
    return notes


def write_tables(
    records: Sequence[RunRecord], unfinished: Sequence[RunFolder], out: Path
) -> list[Line]:
    """Write the tables of these runs into `out`, and return their lines.

    Raises:
        BrfLavaError: As `write_bytes`.
    """
    lines, remarks = table_lines(records), notes(records, unfinished)
    convergence = {name for name in lines[0] if "epochs_to" in name}
    common = {*HEAD, "seeds", "recipe_changes"}
    table_1 = [{k: line[k] for k in line if k not in convergence} for line in lines]
    table_2 = [{k: line[k] for k in line if k in convergence | common} for line in lines]
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
    markdown = [_markdown(title, lines) for title in TABLES]
    markdown += [f"{EXPLANATION}\n\n", *(f"- {remark}\n" for remark in remarks)]
    texts = "".join(markdown), _csv(table_1), _csv(table_2), json.dumps(contents, indent=2) + "\n"
    for name, text in zip(FILES, texts, strict=True):
        write_bytes(out / name, text.encode())
    return lines


def _csv(lines: Sequence[Line]) -> str:
    text = io.StringIO()
    writer = csv.DictWriter(text, list(lines[0]), lineterminator="\n")
    writer.writeheader()
    writer.writerows(lines)
    return text.getvalue()
