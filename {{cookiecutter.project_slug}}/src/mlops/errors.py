"""The errors that a user can mend; the command line shows them without a traceback."""

from __future__ import annotations

from typing import ClassVar


class MlopsError(Exception):
    """A run that cannot go on.

    Parameters
    ----------
    message : str
        What is wrong, with the names and values needed to find it.
    fix : str
        What to do about it; shown on a line of its own.
    """

    exit_code: ClassVar[int] = 1

    def __init__(self, message: str, fix: str = "") -> None:
        super().__init__(message)
        self.fix = fix


class ConfigError(MlopsError):
    """project.yml, the science package or the command's options are wrong."""

    exit_code = 2


class DataError(MlopsError):
    """The data cannot be read, or breaks an expectation."""


class Refused(MlopsError):
    """The gate refused the challenger: nothing failed, and nothing is registered."""

    exit_code = 3


class ReleaseError(MlopsError):
    """A release did not go through; the endpoint serves what it served before."""


class AzureError(MlopsError):
    """Azure refused a request, failed at it, or did not answer."""
