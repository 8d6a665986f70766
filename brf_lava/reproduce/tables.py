"""The tables: means over seeds next to the published values, as Markdown, CSV and JSON."""

from __future__ import annotations

import csv
import io
import json
import statistics
from collections.abc import Iterable, Mapping, Sequence
from itertools import product
from pathlib import Path
from typing import Any

from brf_lava.config.recipe import published_recipe
from brf_lava.errors import DataError
from brf_lava.io.files import JSON, Kind, write_bytes
from brf_lava.reproduce.jobs import read_manifest
from brf_lava.reproduce.published import BASELINE, FRACTIONS, PUBLISHED
from brf_lava.reproduce.runs import Run, check_alike, differences, read_record, run_folders
from brf_lava.reproduce.steps import RunFolder
from brf_lava.versions import versions

FORMAT = "brf-lava-reproduce"
SCHEMA = 3  # 1 had no lines of the tables and nothing published; 2 had the threads of each run
WHAT = "a table of 'brf-lava reproduce'"
FILES = {
    "tables.md": Kind(WHAT, b"## Table 1"),
    "table1.csv": Kind(WHAT, b"task,neuron,seeds,"),
    "table2.csv": Kind(WHAT, b"task,neuron,seeds,"),
    "results.json": Kind("of 'brf-lava reproduce'", JSON, FORMAT),
}

# Columns: heading, name in a line, format, and format of the published value if there is one.
# Each table fits a terminal.
SHARES = [f"{100 * fraction:.0f}" for fraction in FRACTIONS]
HEAD = (("task", "task", "", ""), ("neuron", "neuron", "", ""))
VARIANT = ("changed", "variant", "", "")  # of a grid
TABLES = {
    "Table 1, accuracy, measured and published": (
        (">seeds", "seeds", "d", ""),
        (">parameters", "parameters", ",", ","),
        (">accuracy %", "accuracy_percent", ".2f", ".1f"),
    ),
    "Table 1, spikes, measured and published": (
        (">SOPs", "sops", ",.1f", ",.1f"),
        (">SOPs/step", "sops_per_step", ".2f", ".2f"),
        (f">vs {BASELINE}", f"sops_vs_{BASELINE.lower()}", ".2f", ".2f"),
    ),
    "Measured alone: the network in integers, and training time": (
        (">integer accuracy %", "integer_accuracy_percent", ".2f", ""),
        (">integer SOPs", "integer_sops", ",.1f", ""),
        (">training s", "training_seconds", ",.1f", ""),
    ),
    "Table 2: epochs until a share of the final accuracy, measured and published": (
        (">seeds", "seeds", "d", ""),
        *((f">{share}%", f"epochs_to_{share}_percent", ".1f", "d") for share in SHARES),
    ),
}

Line = dict[str, Any]  # of a CSV file: one task and neuron, over its seeds


def epochs_to(fraction: float, accuracy: Sequence[float], kept: int) -> int:
    """Return the first epoch whose accuracy is at least a fraction of that of the epoch `kept`."""
    final = accuracy[kept - 1]
    return next(epoch for epoch, value in enumerate(accuracy, 1) if value >= fraction * final)


def table_lines(records: Sequence[Run]) -> list[Line]:
    """Return a line for each task, neuron and point of a grid, in the order of the published."""
    variants = dict.fromkeys(run.folder.variant for run in records)
    rows: dict[tuple[str, str, str], list[Run]] = {}
    for cell, variant in product(PUBLISHED, variants):
        runs = [run for run in records if (run.folder.cell, run.folder.variant) == (cell, variant)]
        rows[(*cell, variant)] = runs
    return [_line(runs, rows[task, BASELINE, at]) for (task, _, at), runs in rows.items() if runs]


def _line(records: Sequence[Run], baseline: Sequence[Run]) -> Line:
    cell, runs = records[0].folder.cell, [record.values for record in records]
    published = vars(PUBLISHED[cell])
    sops = statistics.fmean(run["sops"] for run in runs)
    base = statistics.fmean(run.values["sops"] for run in baseline) if baseline else 0.0
    line = {
        **dict(zip(("task", "neuron"), cell, strict=True)),
        "seeds": len(runs),
        "parameters": runs[0]["parameters"],
        **_spread("accuracy_percent", (100 * run["accuracy"] for run in runs)),
        **_spread("sops", (run["sops"] for run in runs)),
        **_spread("sops_per_step", (run["sops"] / run["steps"] for run in runs)),
        f"sops_vs_{BASELINE.lower()}": sops / base if base else None,
        **_spread("training_seconds", (run["seconds"] for run in runs)),
        **_spread("integer_accuracy_percent", (100 * run["integer"]["accuracy"] for run in runs)),
        **_spread("integer_sops", (run["integer"]["sops"] for run in runs)),
        **{f"published_{name}": value for name, value in published.items() if name != "epochs"},
    }
    theirs = published["epochs"] or [None] * len(SHARES)
    for share, fraction, epochs in zip(SHARES, FRACTIONS, theirs, strict=True):
        name = f"epochs_to_{share}_percent"
        reached = (epochs_to(fraction, run["validation_accuracy"], run["epoch"]) for run in runs)
        line |= {**_spread(name, reached), f"published_{name}": epochs}
    variant = records[0].folder.variant
    line |= {"variant": variant} if variant else {}
    return {**line, "recipe_changes": _changes(records[0])}


def _spread(name: str, values: Iterable[float]) -> Line:
    """Mean and sample standard deviation, None of a single value."""
    values = list(values)
    std = statistics.stdev(values) if len(values) > 1 else None
    return {f"{name}_mean": statistics.fmean(values), f"{name}_std": std}


def _changes(run: Run) -> str:
    return "; ".join(differences(run.recipe, published_recipe(*run.folder.cell)))


def table(title: str, lines: Sequence[Line]) -> list[tuple[str, ...]]:
    """Return the headings and the rows of this one of the `TABLES`; > begins that of numbers."""
    columns = []
    varied = [VARIANT] if any("variant" in line for line in lines) else []
    for heading, name, ours, theirs in (*HEAD, *varied, *TABLES[title]):
        columns.append((heading, name, ours))
        columns += [(">publ.", f"published_{name}", theirs)] if theirs else []
    headings = tuple(heading for heading, _, _ in columns)
    return [headings, *(tuple(_text(line, *column[1:]) for column in columns) for line in lines)]


def _text(line: Line, name: str, spec: str) -> str:
    """A value of a line, or a mean with its deviation; nothing where there is none."""
    mean, std = line.get(f"{name}_mean", line.get(name)), line.get(f"{name}_std")
    if mean is None:
        return ""
    return f"{mean:{spec}}" if std is None else f"{mean:{spec}} ± {std:{spec}}"


def _markdown(title: str, lines: Sequence[Line]) -> str:
    headings, *rows = table(title, lines)
    rules = ["---:" if heading.startswith(">") else "---" for heading in headings]
    names = [heading.removeprefix(">") for heading in headings]
    texts = [f"| {' | '.join(row)} |\n" for row in (names, rules, *rows)]
    return "".join([f"## {title}\n\n", *texts, "\n"])


EXPLANATION = f"""\
Measured: mean over seeds ± sample standard deviation. Published ("publ."): Higuchi et al. 2024, \
means of 5 runs, as printed. SOPs: spikes of hidden neurons per sample of the test split; vs \
{BASELINE}: their mean over that of {BASELINE} on the same task. Parameters: all trained numbers, \
pruned weights included; our {BASELINE} networks have no biases and, on S-MNIST and PS-MNIST, \
recurrent connections in all hidden layers. Integer: the exported network on the integer engine. \
Training: sum over the epochs; trainings that ran side by side shared the machine.

Table 2: the first epoch whose validation accuracy is at least a share of the final one, which is \
that of the epoch that was kept, the one with the lowest validation loss. How the published epochs \
were counted is not known in this detail, and the share of their second column is our reading."""


def notes(
    records: Sequence[Run], unfinished: Sequence[RunFolder], problems: Mapping[str, str]
) -> list[str]:
    """Return what a reader of the tables must know of these runs, a sentence each.

    problems: Why runs failed, by their names.
    """
    notes = []
    for task, data in {run.folder.cell[0]: run.data for run in records}.items():
        note = f"{task}: trained and tested on {data.description.split(', steps permuted')[0]}."
        if data.kind.startswith("synthetic"):
            note += " Scores on synthetic data say nothing about the published ones."
        notes.append(note)
    notes += [
        f"{run.folder.row}: the published settings{' but ' * bool(changes)}{changes}."
        for run in {run.folder.row: run for run in records}.values()
        for changes in [_changes(run)]
    ]
    names = [each.name for each in unfinished]
    notes += [
        f"Failed, not counted: {name}: {problems[name]}" for name in names if name in problems
    ]
    if rest := [name for name in names if name not in problems]:
        notes.append(f"Not finished, not counted: {', '.join(rest)}.")
    return notes


def write_tables(out: Path) -> tuple[list[Line], list[str]]:
    """Write the tables of all finished runs in `out`, and return their lines and the `notes`.

    Raises: DataError if no run is finished, or for one that is damaged; BrfLavaError for runs of
    different experiments.
    """
    folders = run_folders(out)
    records = [read_record(folder) for folder in folders if folder.next_step is None]
    unfinished = [folder for folder in folders if folder.next_step is not None]
    if not records:
        raise DataError(f"{out}: holds no finished run. Name the --out of a 'brf-lava reproduce'.")
    check_alike(records)
    jobs = read_manifest(out).values()
    problems = {job["run"]: job["problem"] for job in jobs if "problem" in job}
    remarks, lines = notes(records, unfinished, problems), table_lines(records)
    both = {"task", "neuron", "seeds", "variant", "recipe_changes"}
    table_1 = [{k: line[k] for k in line if "epochs_to" not in k} for line in lines]
    table_2 = [{k: line[k] for k in line if "epochs_to" in k or k in both} for line in lines]
    contents = {
        "format": FORMAT,
        "schema": SCHEMA,
        "versions": versions(),
        "table1": table_1,
        "table2": table_2,
        "runs": [record.values for record in records],
        "unfinished": [folder.as_dict() for folder in unfinished],
        "notes": remarks,
    }
    markdown = [_markdown(title, lines) for title in TABLES]
    markdown += [f"{EXPLANATION}\n\n", *(f"- {remark}\n" for remark in remarks)]
    texts = "".join(markdown), _csv(table_1), _csv(table_2), json.dumps(contents, indent=2) + "\n"
    for (name, kind), text in zip(FILES.items(), texts, strict=True):
        write_bytes(out / name, text.encode(), kind)
    return lines, remarks


def _csv(lines: Sequence[Line]) -> str:
    text = io.StringIO()
    columns = dict.fromkeys(name for line in lines for name in line)
    writer = csv.DictWriter(text, list(columns), lineterminator="\n")
    writer.writeheader()
    writer.writerows(lines)
    return text.getvalue()
