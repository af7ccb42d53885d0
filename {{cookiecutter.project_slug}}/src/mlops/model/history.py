"""What served when: a chain of entries in the registry, each holding the digest of the one before.

An entry is a tag of the version that it put into service. The newest entry's number and digest are
kept a second time, on another version where there is one, so that removing it is noticed too.
Who may write tags can still rewrite the whole chain: keep an export elsewhere to notice that.
"""

from __future__ import annotations

import getpass
import hashlib
import json
import os
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import asdict, dataclass
from datetime import UTC, datetime
from typing import TYPE_CHECKING, Any, Final

from mlops.config import Environment
from mlops.model import tags

if TYPE_CHECKING:
    from mlops.model.registry import Registry, Version

# With this, an entry is shorter than 256 characters, the limit of Azure's tags.
LONGEST_NAME: Final = 60
# Who started a job on GitHub or Azure DevOps; elsewhere it is the user.
ACTORS: Final = ("GITHUB_ACTOR", "BUILD_REQUESTEDFOR")


@dataclass(frozen=True)
class Entry:
    """One change of what an environment serves."""

    number: int  # from 1, in each environment
    time: str  # UTC
    event: str  # release or rollback
    version: int
    by: str  # who approved it, and how
    before: str  # the digest of the entry before; "" for the first


@dataclass(frozen=True)
class Period:
    """How long a version served, what put it there and what took it out."""

    environment: Environment
    number: int
    since: str
    until: str  # "" while it serves
    version: int
    event: str
    by: str
    ended_by: str
    decision: str
    data: str  # SHA-256 of the training data
    model: str  # SHA-256 of the model's files
    digest: str  # of the entry


@dataclass(frozen=True)
class History:
    """The periods of an environment, oldest first, and what is wrong with their record."""

    periods: tuple[Period, ...]
    problems: tuple[str, ...]
    unrecorded: tuple[int, ...]  # versions that were in production before entries were kept


@dataclass(frozen=True)
class Kept:
    """An entry as it was found: its tag's number, and the version that carries it."""

    number: int
    entry: Entry | None  # None if it cannot be read
    version: Version

    @property
    def digest(self) -> str:
        """The digest of the entry and of the version's own record of where it comes from."""
        known = self.version.tags
        origin = [
            known.get(key, "") for key in (tags.DECISION, tags.DATA_DIGEST, tags.MODEL_DIGEST)
        ]
        content = asdict(self.entry) if self.entry else {}
        text = json.dumps([content, self.version.number, *origin], sort_keys=True)
        return hashlib.sha256(text.encode()).hexdigest()


def approver(how: str) -> str:
    """Return who approves, and how: "alice, --yes"."""
    name = next((os.environ[key] for key in ACTORS if os.environ.get(key)), "")
    if not name:
        try:
            name = getpass.getuser()
        except (OSError, KeyError, ImportError):  # a container's user may have no name
            name = "unknown"
    return ", ".join(filter(None, (name[: LONGEST_NAME - 12], how)))[:LONGEST_NAME]


def append(
    registry: Registry, environment: Environment, version: Version, event: str, by: str
) -> None:
    """Record that the environment now serves ``version``, unless the newest entry says so.

    The second record follows the entry; after a kill in between, the next call completes it.
    """
    versions = registry.versions()
    kept, noted = _read(versions, environment), _second(versions, environment)
    number, before = noted or (0, "")
    if kept and kept[-1].number > number:
        number, before = kept[-1].number, kept[-1].digest
    newest = kept[-1].entry if kept and kept[-1].number == number else None
    if newest is None or newest.version != version.number:
        now = datetime.now(UTC).strftime("%Y-%m-%dT%H:%M:%SZ")
        entry = Entry(number + 1, now, event, version.number, by, before)
        value = json.dumps(asdict(entry), separators=(",", ":"), ensure_ascii=False)
        registry.tag(version, _key(environment, f"{entry.number:04}"), value)
        number, before = entry.number, Kept(entry.number, entry, version).digest
    key = _key(environment, "newest")
    carrier = next((v for v in versions if key in v.tags), versions[0])
    if carrier.tags.get(key) != f"{number} {before}":
        registry.tag(carrier, key, f"{number} {before}")


def read_history(registry: Registry, environment: Environment) -> History:
    """Read an environment's entries and verify their chain."""
    versions = registry.versions()
    kept = _read(versions, environment)
    recorded = {item.version.number for item in kept}
    served = [v.number for v in versions if environment == "production" and _served(v)]
    problems = [*_verify(kept, _second(versions, environment), environment)]
    serving = registry.in_production() if environment == "production" else None
    if serving and kept and kept[-1].version.number != serving.number:
        problems.append(
            f"Production serves version {serving.number}, but its newest entry is of version "
            f"{kept[-1].version.number}."
        )
    return History(
        periods=tuple(_periods(kept, environment)),
        problems=tuple(problems),
        unrecorded=tuple(number for number in served if number not in recorded),
    )


def _verify(
    kept: Sequence[Kept], second: tuple[int, str] | None, environment: Environment
) -> Iterable[str]:
    """Say which entry was edited, removed or moved."""
    number, before = 0, ""
    for item in kept:
        name = f"Entry {item.number} of {environment}"
        if item.number > number + 1:
            yield _removed(number + 1, item.number - 1, environment)
        elif item.number <= number:
            yield f"{name} exists twice."
        if item.entry is None:
            yield f"{name} cannot be read."
        elif (item.entry.number, item.entry.version) != (item.number, item.version.number):
            yield f"{name} was moved: it is that of number {item.entry.number}."
        elif item.number == number + 1 and item.entry.before != before:
            changed = f"entry {number}, the one before, was" if number else "it was"
            yield f"{name} does not continue the chain: {changed} changed."
        number, before = item.number, item.digest
    if second is None:
        if kept:
            yield f"The second record of {environment}'s newest entry was removed."
    elif second[0] > number:
        yield _removed(number + 1, second[0], environment)
    elif second != (number, before) and not _continues(kept, second):
        yield f"Entry {number} of {environment} was changed, or its second record was."


def _continues(kept: Sequence[Kept], second: tuple[int, str]) -> bool:
    """Whether the newest entry follows the second record: a kill came between the two."""
    entry = kept[-1].entry if kept else None
    return entry is not None and (entry.number - 1, entry.before) == second


def _removed(first: int, last: int, environment: Environment) -> str:
    which = f"Entry {first}" if first == last else f"Entries {first} to {last}"
    return f"{which} of {environment} {'was' if first == last else 'were'} removed."


def _periods(kept: Sequence[Kept], environment: Environment) -> Iterable[Period]:
    found = [(item, item.entry) for item in kept if item.entry]
    following: list[Entry | None] = [entry for _, entry in found[1:]]
    for (item, entry), after in zip(found, [*following, None], strict=False):
        known: Mapping[str, str] = item.version.tags
        yield Period(
            environment=environment,
            number=entry.number,
            since=entry.time,
            until=after.time if after else "",
            version=entry.version,
            event=entry.event,
            by=entry.by,
            ended_by=f"{after.event} of version {after.version}" if after else "",
            decision=known.get(tags.DECISION, ""),
            data=known.get(tags.DATA_DIGEST, ""),
            model=known.get(tags.MODEL_DIGEST, ""),
            digest=item.digest,
        )


def _read(versions: Iterable[Version], environment: Environment) -> list[Kept]:
    prefix = _key(environment, "")
    found = [
        Kept(int(number), _parse(value), version)
        for version in versions
        for key, value in version.tags.items()
        if key.startswith(prefix) and (number := key.removeprefix(prefix)).isdecimal()
    ]
    return sorted(found, key=lambda item: item.number)


def _parse(value: str) -> Entry | None:
    try:
        content: Any = json.loads(value)
        return Entry(**content)
    except (ValueError, TypeError):
        return None


def _second(versions: Iterable[Version], environment: Environment) -> tuple[int, str] | None:
    """Return the number and digest of the newest entry, as they were kept a second time."""
    key = _key(environment, "newest")
    found = [version.tags[key].partition(" ") for version in versions if key in version.tags]
    return max(
        ((int(number) if number.isdecimal() else 0, digest) for number, _, digest in found),
        default=None,
    )


def _served(version: Version) -> bool:
    return version.stage in ("production", "retired", "withdrawn")


def _key(environment: Environment, name: str) -> str:
    return f"{tags.HISTORY}.{environment}.{name}"
