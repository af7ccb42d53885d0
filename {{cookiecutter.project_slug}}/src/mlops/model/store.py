"""The project's own store of runs and models: mlflow.db, and the files below mlruns/."""

from __future__ import annotations

import sqlite3
from collections.abc import Iterator
from contextlib import closing
from pathlib import Path
from typing import Final
from urllib.parse import quote

from filelock import FileLock

from mlops.errors import ConfigError
from mlops.lock import FOLDER, file_lock

# Every column in which MLflow keeps the address of files.
ADDRESSES: Final = (
    ("experiments", "artifact_location"),
    ("runs", "artifact_uri"),
    ("logged_models", "artifact_location"),
    ("model_versions", "source"),
    ("model_versions", "storage_location"),
)


def local_store(root: Path) -> str:
    """Return the address of the project's sqlite store, creating it if it is missing.

    Raises
    ------
    ConfigError
        The file is empty: it was a store, and is none any more.
    """
    store, folder = root / "mlflow.db", artifacts_folder(root)
    if not store.exists():
        with alone(root):  # another command may create it too
            if not store.exists():
                _create(store, folder)
    if store.stat().st_size == 0:
        raise ConfigError(
            f"{store} is empty: the registry that it held is lost.",
            "Restore a copy of it. Only if there was no registry yet, delete the file: the next "
            "command then starts a new one, with version 1 and without a champion.",
        )
    _follow_move(store, folder)
    return _address(store)


def alone(root: Path) -> FileLock:
    """Return a lock that is held while the store or its experiment is created."""
    return file_lock(root / FOLDER, "store")


def artifacts_folder(root: Path) -> str:
    """Return the address of the folder that the runs' files are in."""
    return (root / "mlruns").as_uri()


def _create(store: Path, folder: str) -> None:
    """Write a store without runs.

    Dozens of migrations create the tables: in memory they take a third of the time. The file is
    renamed into place, so that an interruption never leaves a partial store.
    """
    from mlflow.store.tracking.sqlalchemy_store import SqlAlchemyStore

    part = store.with_name(f"{store.name}.part")
    for left in store.parent.glob(f"{part.name}*"):
        left.unlink()
    empty = SqlAlchemyStore("sqlite://", folder)  # type: ignore[no-untyped-call]
    with empty.engine.connect() as connection:
        connection.exec_driver_sql("VACUUM INTO ?", (str(part),))
    empty.engine.dispose()
    part.replace(store)


def _address(store: Path) -> str:
    """Return a database address that means this file, whatever its folders are called.

    SQLite decodes the name itself; without slashes in it, MLflow makes no folders of its parts.
    """
    from sqlalchemy.engine import URL

    name = "file:" + quote(store.as_posix(), safe="")
    return URL.create("sqlite", database=name, query={"uri": "true"}).render_as_string()


def _follow_move(store: Path, folder: str) -> None:
    """Let a store that was moved or copied with its project find its files where they are now.

    MLflow keeps absolute addresses, so a copy would write into the original's mlruns.
    """
    with closing(sqlite3.connect(store)) as database, database:
        for earlier in set(_folders(database)) - {folder}:
            for table, column in ADDRESSES:
                database.execute(
                    f"UPDATE {table} SET {column} = ? || substr({column}, ?) "  # noqa: S608
                    f"WHERE {column} = ? OR substr({column}, 1, ?) = ?",
                    (folder, len(earlier) + 1, earlier, len(earlier) + 1, f"{earlier}/"),
                )


def _folders(database: sqlite3.Connection) -> Iterator[str]:
    """Yield the addresses of all mlruns folders of this machine that experiments are kept in."""
    for (location,) in database.execute("SELECT DISTINCT artifact_location FROM experiments"):
        folder, found, rest = str(location).rpartition("/mlruns")
        if found and folder.startswith("file:") and (not rest or rest[1:].isdigit()):
            yield folder + found
