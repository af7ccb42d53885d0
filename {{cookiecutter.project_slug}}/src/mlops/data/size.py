"""Refuse a compressed file that unpacks to more than fits into memory."""

from __future__ import annotations

import bz2
import gzip
import lzma
from pathlib import Path
from typing import Any, Final
from zipfile import ZipFile

import psutil

from mlops.errors import DataError

OPENERS: Final[dict[str, Any]] = {".gz": gzip.open, ".bz2": bz2.open, ".xz": lzma.open}
CHUNK: Final = 2**20


def require_fits(source: Path) -> None:
    """Raise `DataError` if a compressed file has more bytes than there is memory free."""
    free = psutil.virtual_memory().available
    if source.is_file() and _unpacks_to_more(source, free):
        raise DataError(
            f"{source} unpacks to more than the {free / 2**30:.1f} GiB of memory that are free.",
            "Unpack it and look at it. Rows that are really so many take less memory as Parquet, "
            "or need a larger machine.",
        )


def _unpacks_to_more(source: Path, limit: int) -> bool:
    if source.suffix == ".zip":
        with ZipFile(source) as archive:
            return sum(entry.file_size for entry in archive.infolist()) > limit
    if source.suffix not in OPENERS:
        return False
    with OPENERS[source.suffix](source) as stream:
        unpacked = 0
        while chunk := stream.read(CHUNK):
            unpacked += len(chunk)
            if unpacked > limit:
                return True
    return False
