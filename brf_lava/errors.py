"""Every error a user can cause, each with the exit code of the command line.

A message says where, what it got, what is allowed and what to do next, on one line.
"""

from __future__ import annotations

INTERRUPTED = 130  # exit code of a command that Ctrl-C ended, as shells have it


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
    """Two backends that must agree in every integer did not. Exit code 1."""

    exit_code = 1


class DoesNotFitError(BrfLavaError):
    """A network that a board cannot hold: the question was answered, with no. Exit code 1."""

    exit_code = 1


class JobError(BrfLavaError):
    """A run of ``brf-lava reproduce`` that failed. Exit code 1."""

    exit_code = 1


class BackendUnavailableError(BrfLavaError):
    """A named backend or device that this machine does not have. Exit code 3."""

    exit_code = 3


class LavaRunError(BrfLavaError):
    """A Lava run that a fault, a killed process or a time-out ended. Exit code 4."""

    exit_code = 4
