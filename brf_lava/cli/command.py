"""What all commands share: their common options, their help, and how a result is shown.

A command returns a `Result`. People read its verdict first, and the rest with ``--all``; programs
read the same as one line of JSON with ``--json``. ``--quiet`` leaves errors alone.
"""

from __future__ import annotations

import os
from collections.abc import Mapping, Sequence
from contextlib import nullcontext, redirect_stderr
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import click

COMMON = "Options of all commands"
REST = "More: the same command with --all."
SCHEMA = 1  # of a result in JSON that brings no schema of its own


@dataclass(frozen=True)
class Result:
    """What a command found.

    values: for programs; dataclasses, arrays and paths may be in them. lines: for people, texts and
    tables, the verdict first. more: what only --all shows. error: raised after all was shown.
    """

    values: Mapping[str, Any]
    lines: Sequence[Any]
    more: Sequence[Any] = ()
    error: BaseException | None = None

    def show(self, everything: bool) -> None:
        """Print what people read."""
        from brf_lava import report

        hidden = [REST] if self.more and not everything else []
        for each in (*self.lines, *(self.more if everything else hidden)):
            if isinstance(each, str):
                click.echo(each)
            else:
                report.print_table(each)

    def as_json(self, command: str) -> str:
        """Return the values on one line, with what they are."""
        import msgspec

        from brf_lava.versions import versions

        head = {"format": f"brf-lava-{command}", "schema": SCHEMA, "versions": versions()}
        return msgspec.json.encode({**head, **self.values}, enc_hook=_plain).decode()


def _plain(value: Any) -> Any:
    return str(value) if isinstance(value, Path) else value.tolist()


class Option(click.Option):
    """An option, and the section of the help that it stands in."""

    def __init__(self, *names: Any, section: str = COMMON, **settings: Any) -> None:
        super().__init__(*names, **settings)
        self.section = section


class Command(click.Command):
    """A command with the common options. result: it returns a `Result`; more: which has more."""

    def __init__(self, *args: Any, result: bool = True, more: bool = False, **extra: Any) -> None:
        super().__init__(*args, **extra)
        flags = (
            (result, ["--json"], "Print the result as JSON."),
            (more, ["--all", "everything"], "Print all of it."),
            (True, ["-q", "--quiet"], "Print errors, and JSON if asked for."),
        )
        self.params += [Option(names, is_flag=True, help=text) for on, names, text in flags if on]

    def invoke(self, ctx: click.Context) -> None:
        names = "json", "everything", "quiet"
        json, everything, quiet = (ctx.params.pop(name, False) for name in names)
        with open(os.devnull, "w") as nowhere, redirect_stderr(nowhere) if quiet else nullcontext():
            found = super().invoke(ctx)
        if not isinstance(found, Result):
            return
        if json:
            name = ctx.command_path.partition(" ")[2].replace(" ", "-")
            click.echo(found.as_json(name))
        elif not quiet:
            found.show(everything)
        if found.error is not None:
            raise found.error

    def format_options(self, ctx: click.Context, formatter: click.HelpFormatter) -> None:
        """Write the options in sections, those of all commands last."""
        sections: dict[str, list[tuple[str, str]]] = {"Options": []}
        for parameter in self.get_params(ctx):
            record = parameter.get_help_record(ctx)
            if isinstance(parameter, click.Option) and record is not None:
                title = COMMON if parameter is self.get_help_option(ctx) else "Options"
                sections.setdefault(getattr(parameter, "section", title), []).append(record)
        sections[COMMON] = sections.pop(COMMON)
        for title, records in sections.items():
            if records:
                with formatter.section(title):
                    formatter.write_dl(records)


class Group(click.Group):
    """A group of such commands."""

    command_class = Command
