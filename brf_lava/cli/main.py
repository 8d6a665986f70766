"""The group of all commands, and how an error ends one."""

from __future__ import annotations

import errno
import logging
import os
import sys
from typing import Any

import click

from brf_lava import __version__
from brf_lava.cli.classify import classify_command
from brf_lava.cli.data import data
from brf_lava.cli.doctor import doctor
from brf_lava.cli.estimate import estimate
from brf_lava.cli.export import export
from brf_lava.cli.import_published import import_command
from brf_lava.cli.install_lava import install_lava
from brf_lava.cli.loihi2 import loihi2
from brf_lava.cli.map import map_command
from brf_lava.cli.plot import plot
from brf_lava.cli.reproduce import reproduce
from brf_lava.cli.run import run
from brf_lava.cli.stream import stream_command
from brf_lava.cli.train import train
from brf_lava.cli.verify import verify
from brf_lava.errors import INTERRUPTED, BrfLavaError
from brf_lava.io.printable import printable_streams
from brf_lava.io.signals import terminated_like_interrupted


class Failure(click.ClickException):
    """An error that click shows on one line."""

    def __init__(self, message: str, exit_code: int) -> None:
        super().__init__(" ".join(message.split()))
        self.exit_code = exit_code  # type: ignore[misc]  # click declares a class variable


def _wrong_usage(error: click.UsageError, ctx: click.Context | None = None) -> click.ClickException:
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


class Commands(click.Group):
    """A group that turns this package's errors into one line and an exit code.

    Whatever is printed is printable, be it names of files, texts in them or wrong arguments.
    """

    def main(self, *args: Any, **extra: Any) -> Any:
        for name, mode in (("stdin", "r"), ("stdout", "w"), ("stderr", "w")):
            if getattr(sys, name) is None:  # closed by whoever started the process
                setattr(sys, name, open(os.devnull, mode))  # noqa: SIM115  # as long as it lives
        with printable_streams():
            return super().main(*args, **extra)

    def make_context(self, *args: Any, **extra: Any) -> click.Context:
        try:
            # With "color" click leaves control characters to `printable_streams`.
            return super().make_context(*args, color=True, **extra)
        except click.UsageError as error:
            raise _wrong_usage(error) from None

    def invoke(self, ctx: click.Context) -> Any:
        # Idle OpenMP threads sleep instead of spinning: on a busy machine spinning costs a
        # multiple of the run time, on a quiet one nothing measurable is gained by it.
        os.environ.setdefault("OMP_WAIT_POLICY", "PASSIVE")
        logger = logging.getLogger("brf_lava")
        logger.setLevel(logging.INFO)
        logger.propagate = False  # Lava gives the root logger a handler that prints, too
        logger.handlers = [_OnStandardError()]
        try:
            with terminated_like_interrupted():
                return super().invoke(ctx)
        except BrfLavaError as error:
            raise Failure(str(error), error.exit_code) from error
        except click.UsageError as error:
            raise _wrong_usage(error, ctx) from None
        except OSError as error:
            if error.errno == errno.EPIPE:  # a closed pipe is not an error; click ends quietly
                raise
            where = f"{error.filename}: " if error.filename else ""
            raise Failure(f"{where}{error.strerror or error}.", BrfLavaError.exit_code) from error
        except KeyboardInterrupt:
            click.echo("Interrupted.", err=True)
            ctx.exit(INTERRUPTED)


@click.group(cls=Commands, context_settings={"help_option_names": ["-h", "--help"]})
@click.version_option(__version__, prog_name="brf-lava")
def main() -> None:
    """Balanced Resonate-and-Fire networks from PyTorch to Lava and Loihi 2."""


for command in (
    *(train, import_command, export, run, classify_command, stream_command, data),
    *(reproduce, plot),
    *(loihi2, map_command, estimate, install_lava, doctor, verify),
):
    main.add_command(command)
