"""Steps that look before they act, and a record of what they created."""

from __future__ import annotations

import json
import sys
from collections.abc import Callable, Iterable, Mapping
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any, Final, Protocol

from mlops.errors import ConfigError, MlopsError

FILE: Final = Path(".mlops", "connect.json")


@dataclass(frozen=True)
class Change:
    """Something to do: in words, and how."""

    text: str
    act: Callable[[], None]


@dataclass(frozen=True)
class Note:
    """Something unusual that connect leaves as it is, and how to change it."""

    text: str
    fix: str


@dataclass(frozen=True)
class Step:
    """A part of the wiring.

    Attributes
    ----------
    look :
        Returns what is left to do there, without doing it.
    notes :
        Returns what is unusual there.
    """

    name: str
    look: Callable[[], list[Change]]
    notes: Callable[[], list[Note]] = list


@dataclass(frozen=True)
class Choices:
    """What a person may choose.

    Attributes
    ----------
    reviewers : tuple of str
        Who approves production; without any, those who are set, or else the person.
    wait_minutes : int
        How long production waits besides.
    public : bool
        Whether a repository that does not exist yet becomes public.
    wait : bool
        Whether to follow the run that builds Azure.
    organization : str
        The address of an organization of Azure DevOps.
    """

    reviewers: tuple[str, ...] = ()
    wait_minutes: int = 0
    public: bool = False
    wait: bool = True
    organization: str = ""


@dataclass(frozen=True)
class Undo:
    """A call that takes back what connect did.

    Attributes
    ----------
    text :
        What it removes or restores.
    service :
        "github", "azure" or "azure-devops".
    """

    text: str
    service: str
    method: str
    path: str
    body: Any = None


class Platform(Protocol):
    """A CI platform that a project is connected to."""

    @property
    def url(self) -> str:
        """Return the address of the repository."""

    @property
    def person(self) -> str:
        """Return who is logged in, after `check_login`; "" if it is not known."""

    def check_login(self) -> None:
        """Check that somebody is logged in who may do it.

        Raises
        ------
        MlopsError
            Nobody is, or somebody without the rights.
        """

    def steps(self) -> list[Step]:
        """Return all steps, in their order."""

    def farewell(self) -> str:
        """Return what happens next, once everything is connected."""

    def take_back(self, undo: Undo) -> None:
        """Take back one creation on the platform; what is gone already stays so.

        Raises
        ------
        MlopsError
            The platform refused it.
        """


class Waits(MlopsError):
    """A step cannot begin before something else is done."""


class Unseen(MlopsError):
    """A service did not answer, or refused."""


class Limit(MlopsError):
    """A step is done as far as the plan or the rights of the account allow."""


class Record:
    """What connect created, in the order of creation; kept in ``.mlops/connect.json``."""

    def __init__(self, root: Path) -> None:
        self._file = root / FILE

    def read(self) -> list[Undo]:
        """Return what was created.

        Raises
        ------
        ConfigError
            The file is damaged.
        """
        if not self._file.is_file():
            return []
        try:
            return [Undo(**one) for one in json.loads(self._file.read_text(encoding="utf-8"))]
        except (ValueError, TypeError) as error:
            raise ConfigError(
                f"{self._file} is damaged: {error}",
                "Restore it, or delete it: then disconnect no longer knows what to remove.",
            ) from error

    def add(self, undo: Undo) -> None:
        """Add what is about to be created, once: if it fails, removing it finds nothing."""
        known = self.read()
        if all((undo.method, undo.path) != (one.method, one.path) for one in known):
            self.write([*known, undo])

    def write(self, undos: Iterable[Undo]) -> None:
        """Replace the record; a record of nothing is removed."""
        content = [asdict(undo) for undo in undos]
        if not content:
            self._file.unlink(missing_ok=True)
            return
        self._file.parent.mkdir(exist_ok=True)
        temporary = self._file.with_suffix(".tmp")
        temporary.write_text(json.dumps(content, indent=2) + "\n", encoding="utf-8")
        temporary.replace(self._file)


def show_plan(steps: Iterable[Step]) -> tuple[int, dict[str, MlopsError]]:
    """Print what each step would do; return the number of changes, and what waits, by step.

    Raises
    ------
    MlopsError
        A step cannot look.
    """
    count = 0
    waiting: dict[str, MlopsError] = {}
    for step in steps:
        try:
            changes = step.look()
        except Waits as wait:
            waiting[step.name] = wait
            continue
        count += len(changes)
        print(f"  [{' ' if changes else 'x'}] {step.name}", flush=True)
        for change in changes:
            print(f"        {change.text}")
    for text, names in _by_text(waiting).items():
        print(f"  [ ] {'; '.join(names)}\n        {text}")
    return count, waiting


def carry_out(steps: Iterable[Step]) -> dict[str, MlopsError]:
    """Do what is left to do, step by step; return what could not be done, by step.

    A limit of one step does not stop the others; any other error does.
    """
    unfinished: dict[str, MlopsError] = {}
    for step in steps:
        try:
            for change in step.look():
                print(f"  {step.name}: {change.text}", flush=True)
                change.act()
        except (Limit, Waits) as error:
            unfinished[step.name] = error
        except MlopsError as error:
            return {**unfinished, step.name: error}
    return unfinished


def show_unfinished(errors: Mapping[str, MlopsError]) -> None:
    """Print what is not done, why, and what to do."""
    sys.stdout.flush()  # so that both are in order where they go to one file
    print("\nNot done:", file=sys.stderr)
    fixes = {str(error): error.fix for error in errors.values()}
    for text, names in _by_text(errors).items():
        print(f"  {'; '.join(names)}: {text}", file=sys.stderr)
        if fixes[text]:
            print(f"    Fix: {fixes[text]}", file=sys.stderr)


def _by_text(errors: Mapping[str, MlopsError]) -> dict[str, list[str]]:
    """Return the names of steps by what they say."""
    found: dict[str, list[str]] = {}
    for name, error in errors.items():
        found.setdefault(str(error), []).append(name)
    return found
