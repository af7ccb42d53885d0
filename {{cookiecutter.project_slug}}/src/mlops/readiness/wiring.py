"""Check the CI platform, by the looks of `mlops connect`."""

from __future__ import annotations

from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from functools import partial
from typing import Final

from mlops.connect.platforms import platform_of
from mlops.connect.settings import Settings
from mlops.connect.steps import Record, Step
from mlops.readiness.checks import CONNECT, PARALLEL, Check, Checks

TITLES: Final = {"github": "GitHub", "azure_devops": "Azure DevOps"}
NOTES: Final = {"AZ112": "AZ115"}  # the codes of what is unusual, where they are others
# How steps' names begin, with their codes; AZ12x are about Azure.
CODES: Final = (
    ("Environment ", "AZ112"),
    ("Login of ", "AZ113"),
    ("First training", "AZ114"),
    ("Service connection ", "AZ113"),
    ("Rules for ", "AZ116"),
    ("Policies for ", "AZ116"),
    ("Webhook", "AZ117"),
    ("Azure for ", "AZ121"),
    ("Trust in ", "AZ121"),
    ("Infrastructure", "AZ122"),
    ("", "AZ111"),
)


def check(settings: Settings, record: Record, azure: str) -> Iterator[Check]:
    """Yield the login, and each step of connect; ``azure`` is the area of those on Azure."""
    platform = platform_of(settings, record)
    title = f"{TITLES[settings.platform]}: {settings.repository}"
    login = Checks(title).look("login", "AZ110", platform.check_login)
    if not login[0].ok:
        yield from login
        for step in platform.steps():
            checks, code = _place(title, azure, step)
            yield checks.unseen(step.name, code, "it needs the login", "")
        return
    title += f", as {platform.person}" if platform.person else ""
    yield Checks(title).good("login", "AZ110", f"with the rights that `{CONNECT}` needs")
    with ThreadPoolExecutor(PARALLEL) as pool:
        for found in pool.map(partial(_check, title, azure), platform.steps()):
            yield from found


def _check(title: str, azure: str, step: Step) -> list[Check]:
    """Look at a step."""
    checks, code = _place(title, azure, step)

    def look() -> list[Check]:
        if changes := step.look():
            text = "; ".join(change.text for change in changes)
            return [checks.bad(step.name, code, text, CONNECT)]
        kind = NOTES.get(code, code)
        return [checks.bad(step.name, kind, note.text, note.fix) for note in step.notes()]

    return checks.look(step.name, code, look)


def _place(title: str, azure: str, step: Step) -> tuple[Checks, str]:
    """Return the area and the code of a step."""
    code = next(code for start, code in CODES if step.name.startswith(start))
    return Checks(azure if code.startswith("AZ12") else title), code
