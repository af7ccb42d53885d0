"""Errors that a user can fix; the command line shows them without a traceback."""

from __future__ import annotations

from typing import ClassVar


class MlopsError(Exception):
    """A verb cannot continue.

    Parameters
    ----------
    message : str
        What happened, with the names and values needed to find it.
    fix : str
        What to do about it; shown on a separate line.
    """

    exit_code: ClassVar[int] = 1

    def __init__(self, message: str, fix: str = "") -> None:
        super().__init__(message)
        self.fix = fix


class ConfigError(MlopsError):
    """project.yml, the science package or the command's options are invalid."""

    exit_code = 2


class DataError(MlopsError):
    """The data cannot be read, or fails an expectation."""


class Refused(MlopsError):
    """The gate refused the challenger: nothing failed, nothing is registered."""

    exit_code = 3


class ModelError(MlopsError):
    """A model's files are missing, changed, damaged or not trusted: it was not loaded."""


class ReleaseError(MlopsError):
    """A release failed; the endpoint serves what it served before."""


class AzureError(MlopsError):
    """Azure refused a request, failed to carry it out, or did not answer."""


def first_line(error: Exception) -> str:
    """Return the first line of an error's text, cut to 400 characters."""
    return str(error).strip().split("\n")[0][:400]
