"""Check the CI platform, by the looks of `mlops connect`."""

from __future__ import annotations

import re
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from typing import Final

from mlops.connect.azure import Azure
from mlops.connect.platforms import platform_of
from mlops.connect.settings import Settings
from mlops.connect.steps import Record, Step
from mlops.readiness.checks import CONNECT, Check, Checks
from mlops.readiness.landing_zone import area_of

TITLES: Final = {"github": "GitHub", "azure_devops": "Azure DevOps"}
PARALLEL: Final = 4  # each look starts programs
NOTES: Final = {"AZ112": "AZ115"}  # the codes of what is unusual, where they are others
# Patterns of steps' names, with their codes; AZ12x are about Azure.
CODES: Final = (
    ("Environment ", "AZ112"),
    ("Login of ", "AZ113"),
    ("First training", "AZ114"),
    ("Rules for ", "AZ116"),
    ("Webhook", "AZ117"),
    ("Azure for ", "AZ121"),
    ("Infrastructure", "AZ122"),
    ("", "AZ111"),
)


def check(settings: Settings, record: Record, azure: Azure) -> Iterator[Check]:
    """Yield the login, and each step of connect."""
    platform = platform_of(settings, record)
    title = f"{TITLES[settings.platform]}: {settings.repository}"
    logged_in = Checks(title).look("login", "AZ110", platform.check_login)
    if not logged_in[0].ok:
        yield from logged_in
        why = "it needs the login"
        yield from (_unseen(title, azure, step, why) for step in platform.steps())
        return
    title += f", as {platform.person}" if platform.person else ""
    yield Checks(title).good("login", "AZ110", "with the rights that `mlops connect` needs")
    with ThreadPoolExecutor(PARALLEL) as pool:
        for found in pool.map(lambda step: _check(title, azure, step), platform.steps()):
            yield from found


def _check(title: str, azure: Azure, step: Step) -> list[Check]:
    """Look at a step."""
    code, area = _place(title, azure, step)
    checks = Checks(area)

    def look() -> Iterator[Check]:
        if changes := step.look():
            text = "; ".join(change.text for change in changes)
            yield checks.bad(step.name, code, text, CONNECT)
            return
        for note in step.notes():
            yield checks.bad(step.name, NOTES.get(code, code), note.text, note.fix)

    return checks.look(step.name, code, look)


def _unseen(title: str, azure: Azure, step: Step, why: str) -> Check:
    code, area = _place(title, azure, step)
    return Checks(area).unseen(step.name, code, why, "")


def _place(title: str, azure: Azure, step: Step) -> tuple[str, str]:
    """Return the code and the area of a step."""
    code = next(code for pattern, code in CODES if re.match(pattern, step.name))
    return code, area_of(azure) if code.startswith("AZ12") else title
