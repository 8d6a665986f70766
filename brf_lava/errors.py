"""Every error a user can cause, each with the exit code of the command line.

A message says where, what it got, what is allowed and what to do next, on one line.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from contextlib import contextmanager

# Exit codes of what is no error of this package; 1 is Python's own, of an unexpected error.
OUT_OF_MEMORY = 8
INTERRUPTED, CLOSED_PIPE, TERMINATED = 130, 141, 143  # as shells have it: SIGINT, SIGPIPE, SIGTERM


class BrfLavaError(Exception):
    """Base class of all errors that a user can cause and correct. Exit code 2."""

    exit_code = 2


class ParameterError(BrfLavaError):
    """A neuron, network or quantization parameter outside its range."""


class RecipeError(BrfLavaError):
    """A recipe that cannot be read, or a key or value it does not allow."""


class DataError(BrfLavaError):
    """A data set that is missing, damaged or of the wrong shape."""


class CheckpointError(BrfLavaError):
    """A model file that is missing, damaged, or not of the expected kind."""


class NetworkFileError(BrfLavaError):
    """An HDF5 network file that this version cannot read safely."""


class MismatchError(BrfLavaError):
    """Two backends that must agree in every integer did not. Exit code 5."""

    exit_code = 5


class DoesNotFitError(BrfLavaError):
    """A network that a board cannot hold, or that loses more than it may. Exit code 6."""

    exit_code = 6


class JobError(BrfLavaError):
    """A run of ``brf-lava reproduce`` that failed or was stopped alone. Exit code 7."""

    exit_code = 7


class NotEnoughMemoryError(BrfLavaError):
    """Something that needs more memory than is free, found out before it is begun. Exit code 8."""

    exit_code = OUT_OF_MEMORY


class BackendUnavailableError(BrfLavaError):
    """A named backend or device that this machine does not have. Exit code 3."""

    exit_code = 3


class LavaRunError(BrfLavaError):
    """A Lava run that a fault, a killed process or a time-out ended. Exit code 4."""

    exit_code = 4


@contextmanager
def explained(fault: Callable[[str], BrfLavaError], where: object, remedy: str) -> Iterator[None]:
    """Turn whatever code of somebody else raises into one line that ends in `remedy`."""
    try:
        yield
    except (BrfLavaError, MemoryError):
        raise
    except (Exception, SystemExit) as error:
        text = " ".join(str(error).split())[:400].rstrip(".")
        raise fault(f"{where}: {type(error).__name__}: {text}. {remedy}") from error
