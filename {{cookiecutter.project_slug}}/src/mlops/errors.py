"""Errors that a user can fix; the command line shows them without a traceback."""

from __future__ import annotations

import errno
import re
from typing import ClassVar, Final

# What a log must not show or a CI system not obey, wherever the text comes from.
PASSWORD: Final = re.compile(r"(?<=://)[^/@\s]+(?=@)")
AZURE_COMMAND: Final = re.compile(r"##(?=\w*\[)")
GITHUB_COMMAND: Final = re.compile(r"::(?=[\w-]+[^:\n]*::)")

STORE_FIX: Final = (
    "If the disk is full, free some space; if another program is using the file, wait. If it is "
    "damaged, restore a copy: it is the registry, and without it no version can be released or "
    "rolled back to."
)

NO_SPACE: Final = (errno.ENOSPC, errno.EDQUOT, errno.EFBIG)
NOT_WRITABLE: Final = (errno.EACCES, errno.EPERM, errno.EROFS)


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
        super().__init__(safe(message))
        self.fix = safe(fix)


class ConfigError(MlopsError):
    """project.yml, the science package or the command's options are invalid."""

    exit_code = 2


class DataError(MlopsError):
    """The data cannot be read, or fails an expectation."""


class Busy(MlopsError):
    """Another command is changing the same."""


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
    return safe(str(error).strip().split("\n")[0][:400])


def safe(text: str) -> str:
    """Return a text that can be printed: no terminal escapes, no CI commands, no passwords.

    Data, file names and addresses end up in messages, and may contain any of them.
    """
    text = "".join(c if c.isprintable() or c in "\n\t" else ascii(c)[1:-1] for c in text)
    text = AZURE_COMMAND.sub("# #", GITHUB_COMMAND.sub(": :", text))
    return PASSWORD.sub("***", text)


def explain(error: Exception) -> MlopsError:
    """Return an error that nothing expected as one that says what to do."""
    telling = [line for line in str(error).split("\n") if "sqlite3." in line]
    text = safe(telling[0]) if telling else first_line(error)
    if (isinstance(error, OSError) and error.errno in NO_SPACE) or "disk is full" in text:
        return MlopsError(
            f"There is no space left on the disk ({text}).",
            "Nothing was registered or released by this step. Free some space, then run the same "
            "command again.",
        )
    if (isinstance(error, OSError) and error.errno in NOT_WRITABLE) or "readonly database" in text:
        return MlopsError(
            f"A file of the project cannot be read or written ({text}).",
            "Give yourself the right to, or copy the project to a folder of your own, then run "
            "the same command again.",
        )
    if "sqlite3." in text:
        return ConfigError(f"mlflow.db cannot be used: {text}", STORE_FIX)
    return MlopsError(
        f"Unexpected {type(error).__name__}: {text}",
        "Run `mlops --debug VERB` to see where it came from. If your own code is not in there, "
        "please report it with that output.",
    )
