"""Check everything that a first release needs: this machine, the CI platform, and Azure.

It only looks. What `mlops connect` sets up is checked by its own looks, so that both agree.
"""

from __future__ import annotations

from collections.abc import Collection, Iterable

from mlops.azure.doctor import Finding
from mlops.config import Project
from mlops.connect.azure import Azure
from mlops.connect.settings import read_settings
from mlops.connect.steps import Record
from mlops.readiness import landing_zone, machine, wiring
from mlops.readiness.checks import Check, Report, from_findings

__all__ = ["Check", "Report", "examine"]

FIRST, LAST = "AZ1", "AZ2"


def examine(project: Project, findings: Iterable[Finding], ignored: Collection[str]) -> Report:
    """Check everything.

    Parameters
    ----------
    findings : iterable of Finding
        Those about azureml/ and project.yml.
    ignored : collection of str
        Codes to leave out.

    Raises
    ------
    ConfigError
        project.yml cannot be read.
    """
    root = project.root.resolve()
    settings, record = read_settings(root), Record(root)
    azure = Azure(settings, record)
    area = landing_zone.area_of(azure)
    checks = [
        *machine.check(settings),
        *from_findings(machine.AREA, "azureml/ and project.yml", findings),
        *wiring.check(settings, record, area),
        *landing_zone.check(area, project, azure, ignored),
    ]
    kept = [check for check in checks if check.ok or check.code not in ignored]
    gone = {check.code for check in checks if check not in kept}
    areas = list(dict.fromkeys(check.area for check in kept))
    kept.sort(key=lambda check: (areas.index(check.area), *_place(check)))
    return Report(kept, sorted(gone))


def _place(check: Check) -> tuple[str, int]:
    """Return what sorts the checks of an area: what needs what, and what is missing first."""
    code = check.code if check.code > FIRST else LAST  # this package's codes are in that order
    return code, (False, None, True).index(check.ok)
