"""The group of all commands, and how an error ends one."""

from __future__ import annotations

import errno
import logging
import os
import sys
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from typing import Any

import click

from brf_lava import __version__
from brf_lava.cli.board import estimate, map_command
from brf_lava.cli.command import Group
from brf_lava.cli.data import data
from brf_lava.cli.export import export, import_command
from brf_lava.cli.loihi2 import doctor, install_lava, loihi2
from brf_lava.cli.look import audit, compare, info, report_command, sweep_bits
from brf_lava.cli.plot import plot
from brf_lava.cli.reproduce import reproduce
from brf_lava.cli.run import run, verify
from brf_lava.cli.train import train
from brf_lava.cli.use import classify_command, stream_command
from brf_lava.errors import CLOSED_PIPE, INTERRUPTED, OUT_OF_MEMORY, TERMINATED, BrfLavaError
from brf_lava.io.printable import printable_streams, shortened
from brf_lava.io.signals import Terminated, terminated_like_interrupted


class Failure(click.ClickException):
    """An error that click shows on one line."""

    def __init__(self, message: str, exit_code: int) -> None:
        super().__init__(" ".join(message.split()))
        self.exit_code = exit_code  # type: ignore[misc]  # click declares a class variable

    def show(self, file: Any = None) -> None:
        try:
            super().show(file)
        except BrokenPipeError:
            raise
        except OSError:  # as on a full disk
            raise _UnreadError(self.exit_code) from None


def _wrong_usage(error: click.UsageError, ctx: click.Context | None) -> click.ClickException:
    """Wrong arguments, on one line; click takes three. ctx: where the error knows of none."""
    if isinstance(error, getattr(click.exceptions, "NoArgsIsHelpError", ())):  # since click 8.2
        return error  # shows the help
    command = "brf-lava"
    if ctx := error.ctx or ctx:  # of the group where click did not say which of its commands
        command = " ".join(filter(None, (ctx.command_path, ctx.invoked_subcommand)))
    text = error.format_message().rstrip(".")
    text += "" if text.endswith("?") else "."
    return Failure(f"{text} See '{command} --help'.", error.exit_code)


class _OnStandardError(logging.Handler):
    """Shows what the library logs."""

    def emit(self, record: logging.LogRecord) -> None:
        click.echo(record.getMessage(), err=True)


class _UnreadError(Exception):
    """What is printed goes nowhere, and this is the exit code; click would end that with 1."""


@contextmanager
def _ending(ctx: click.Context | None) -> Iterator[None]:
    """How an error ends a command: on one line, with its exit code. ctx: of the command, if any."""
    try:
        yield
    except BrfLavaError as error:
        raise Failure(str(error), error.exit_code) from error
    except click.UsageError as error:
        raise _wrong_usage(error, ctx) from None
    except BrokenPipeError:
        raise _UnreadError(CLOSED_PIPE) from None
    except (MemoryError, RuntimeError, ImportError, OSError) as error:
        if _out_of_memory(error):
            remedy = "Lower --batch, --limit or training.batch_size, or take a smaller network."
            raise Failure(f"out of memory: {shortened(error)}. {remedy}", OUT_OF_MEMORY) from error
        if not isinstance(error, OSError):
            raise
        where = f"{error.filename}: " if error.filename else ""
        raise Failure(f"{where}{error.strerror or error}.", BrfLavaError.exit_code) from error
    except KeyboardInterrupt as error:
        with suppress(OSError):  # there may be nobody to read it
            click.echo("Interrupted.", err=True)
        code = TERMINATED if isinstance(error, Terminated) else INTERRUPTED
        raise click.exceptions.Exit(code) from None


def _out_of_memory(error: BaseException) -> bool:
    """Whether Python or NumPy, torch on a card, the system, torch on the CPU, or glibc says so."""
    if isinstance(error, MemoryError) or type(error).__name__ == "OutOfMemoryError":
        return True
    texts = f"{error} {error.__context__}"  # llvmlite's own text says less
    said = any(text in texts for text in ("can't allocate memory", "failed to map segment"))
    return said or getattr(error, "errno", 0) == errno.ENOMEM


class Commands(Group):
    """A group that turns this package's errors into one line and an exit code.

    Whatever is printed is printable, be it names of files, texts in them or wrong arguments.
    """

    def main(self, *args: Any, **extra: Any) -> Any:
        for name, mode in (("stdin", "r"), ("stdout", "w"), ("stderr", "w")):
            if getattr(sys, name) is None:  # closed by whoever started the process
                setattr(sys, name, open(os.devnull, mode))  # noqa: SIM115  # as long as it lives
        with printable_streams():
            try:
                return super().main(*args, **extra)
            except (_UnreadError, BrokenPipeError) as error:  # the latter while an error was shown
                for name in ("stdout", "stderr"):  # what they still hold would fail again at exit
                    setattr(sys, name, open(os.devnull, "w"))  # noqa: SIM115  # as long as it lives
                sys.exit(error.args[0] if isinstance(error, _UnreadError) else CLOSED_PIPE)

    def make_context(self, *args: Any, **extra: Any) -> click.Context:
        with _ending(None):
            # With "color" click leaves control characters to `printable_streams`.
            return super().make_context(*args, color=True, **extra)

    def invoke(self, ctx: click.Context) -> Any:
        # Idle OpenMP threads sleep instead of spinning: on a busy machine spinning costs a
        # multiple of the run time, on a quiet one nothing measurable is gained by it.
        os.environ.setdefault("OMP_WAIT_POLICY", "PASSIVE")
        # numba would have colorama, where it is installed, print to the terminal at exit.
        os.environ.setdefault("NUMBA_DISABLE_ERROR_MESSAGE_HIGHLIGHTING", "1")
        logger = logging.getLogger("brf_lava")
        logger.setLevel(logging.INFO)
        logger.propagate = False  # Lava gives the root logger a handler that prints, too
        logger.handlers = [_OnStandardError()]
        with _ending(ctx), terminated_like_interrupted():
            return super().invoke(ctx)

    def format_commands(self, ctx: click.Context, formatter: click.HelpFormatter) -> None:
        """List the commands by what they are for."""
        for title, commands in SECTIONS.items():
            with formatter.section(title):
                rows = [(str(each.name), each.get_short_help_str(200)) for each in commands]
                formatter.write_dl(rows, col_spacing=2)


@click.group(
    cls=Commands, context_settings={"help_option_names": ["-h", "--help"], "show_default": True}
)
@click.version_option(__version__, prog_name="brf-lava")
def main() -> None:
    """Balanced Resonate-and-Fire networks from PyTorch to Lava and Loihi 2.

    \b
    Examples:
      brf-lava train --task ecg
      brf-lava export model.pt net.h5
      brf-lava run net.h5
    """


SECTIONS: dict[str, tuple[click.Command, ...]] = {
    "The three main commands": (train, export, run),
    "Data and models": (data, import_command, reproduce),
    "Look closer": (report_command, info, compare, audit, sweep_bits, plot, verify),
    "Use a network": (classify_command, stream_command),
    "Loihi 2 and Lava": (map_command, estimate, loihi2, doctor, install_lava),
}
for commands in SECTIONS.values():
    for command in commands:
        main.add_command(command)
