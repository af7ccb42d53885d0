"""What was checked, and what came of it."""

from __future__ import annotations

import textwrap
from collections.abc import Callable, Iterable, Iterator
from dataclasses import asdict, dataclass
from typing import Any, Final

from azure.core.exceptions import ResourceNotFoundError

from mlops.azure.doctor import Finding, severity
from mlops.connect.steps import Unseen, Waits
from mlops.errors import AzureError, MlopsError

SCHEMA: Final = 1
LONGEST: Final = 250  # of a service's own words
PARALLEL: Final = 4  # looks, of which each starts programs
FORBIDDEN: Final = 403
NO_RIGHTS: Final = "this identity may not read it, or a network rule keeps this machine out"
READER: Final = "Ask for the role Reader on the subscription, or run it inside the network."
CONNECT: Final = "mlops connect"
AGAIN: Final = f"{CONNECT}; if it finds nothing to do, apply infra/ again (docs/infrastructure.md)."


@dataclass(frozen=True)
class Check:
    """Something that a release needs.

    Attributes
    ----------
    ok : bool or None
        None: it could not be looked at.
    code : str
        Its code in docs/doctor.md.
    """

    area: str
    name: str
    ok: bool | None
    code: str
    detail: str = ""
    fix: str = ""

    @property
    def severity(self) -> str | None:
        """Return "error" if it may stop a release, "warning" if not, or None if it is good."""
        if self.ok is False:
            return severity(self.code)
        return None if self.ok else "error"


@dataclass(frozen=True)
class Report:
    """All checks, sorted by area, without those of the ignored codes."""

    checks: list[Check]
    ignored: list[str]

    @property
    def ready(self) -> bool:
        """Return whether nothing is missing that stops a release."""
        return all(check.severity != "error" for check in self.checks)

    @property
    def summary(self) -> str:
        """Return how much is missing, in a sentence."""
        states = [(check.severity, check.ok) for check in self.checks]
        counts = {"missing": ("error", False), "not checked": ("error", None)}
        found = [f"{states.count(key)} {name}" for name, key in counts.items() if key in states]
        text = f"{', '.join(found)}; the first release needs all of it."
        if not found:
            text = "Everything that the first release needs is there."
        if warnings := states.count(("warning", False)):
            text += f" {warnings} warning{'s' if warnings > 1 else ''}."
        return text + (f" Ignored: {', '.join(self.ignored)}." if self.ignored else "")

    def content(self) -> dict[str, Any]:
        """Return it for JSON."""
        checks = [{**asdict(check), "severity": check.severity} for check in self.checks]
        return {"schema": SCHEMA, "ready": self.ready, "checks": checks}


@dataclass(frozen=True)
class Checks:
    """Makes the checks of one area."""

    area: str

    def good(self, name: str, code: str, detail: str = "") -> Check:
        return Check(self.area, name, True, code, detail)

    def bad(self, name: str, code: str, detail: str, fix: str) -> Check:
        return Check(self.area, name, False, code, detail, fix)

    def unseen(self, name: str, code: str, why: object, fix: str) -> Check:
        text = textwrap.shorten(f"not checked: {why}", LONGEST)
        return Check(self.area, name, None, code, text, fix)

    def look(self, name: str, code: str, look: Callable[[], Iterable[Check] | None]) -> list[Check]:
        """Return the checks that ``look`` makes, or one that says why it cannot."""
        try:
            return list(look() or ()) or [self.good(name, code)]
        except (Unseen, Waits) as error:
            return [self.unseen(name, code, error, error.fix)]
        except AzureError as error:
            if isinstance(error.__cause__, ResourceNotFoundError):
                return [self.bad(name, code, "does not exist", AGAIN)]
            if getattr(error.__cause__, "status_code", None) == FORBIDDEN:
                return [self.unseen(name, code, NO_RIGHTS, READER)]
            return [self.unseen(name, code, error, error.fix)]
        except MlopsError as error:
            return [self.bad(name, code, str(error), error.fix)]


def from_findings(area: str, what: str, findings: Iterable[Finding]) -> Iterator[Check]:
    """Yield findings as checks, or that there are none."""
    name = ""
    for one in findings:
        name = f"{one.file}:{one.line}"
        yield Check(area, name, False, one.code, one.message, one.fix)
    if not name:
        yield Check(area, what, True, "")
