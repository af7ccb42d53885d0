"""When schedules run: cron expressions, recurrences, time zones and times."""

from __future__ import annotations

import datetime
import difflib
import re
import zoneinfo
from collections.abc import Iterator

from mlops.azure.doctor.documents import Document, Finding, Place, Site

FIELDS = (("minute", 0, 59), ("hour", 0, 23), ("day", 1, 31), ("month", 1, 12), ("weekday", 0, 6))
WEEKDAYS = ("SUN", "MON", "TUE", "WED", "THU", "FRI", "SAT")
# A part of a cron field: * or a value or a range of values, and perhaps a step.
PART = re.compile(r"(?:\*|(\w+)(?:-(\w+))?)(?:/(\d+))?")
RECURRENCE: dict[str, tuple[int, int]] = {
    "hours": (0, 23),
    "minutes": (0, 59),
    "month_days": (1, 31),
}


def check_trigger(document: Document, site: Site) -> Iterator[Finding]:
    """The trigger of a schedule."""
    expression = document.get("trigger", "expression")
    if document.get("trigger", "type") == "cron":
        problem = cron_problem(str(expression or ""))
        if problem:
            what = f"The cron expression {expression!r} {problem}."
            fix = "Write minute, hour, day, month and weekday, such as '0 4 * * 1'."
            yield document.wrong(("trigger", "expression"), what, fix)
    else:
        yield from _check_recurrence(document)
    yield from _check_time_zone(document)
    yield from _check_times(document)


def cron_problem(expression: str) -> str | None:
    """Why Azure ML does not take a cron expression as it is meant; None if it does."""
    parts = expression.split()
    if len(parts) != len(FIELDS):
        return f"has {len(parts)} fields, not {len(FIELDS)}"
    for text, (name, low, high) in zip(parts, FIELDS, strict=True):
        if name in ("day", "month") and text != "*":
            return f"sets the {name}, which Azure ML ignores"
        if not all(_is_cron_part(part, name, low, high) for part in text.split(",")):
            return f"has the {name} {text!r}, which is not within {low} to {high}"
    return None


def _is_cron_part(part: str, name: str, low: int, high: int) -> bool:
    found = PART.fullmatch(part)
    if not found:
        return False
    values = [_cron_value(text, name) for text in found.groups()[:2] if text]
    inside = all(value is not None and low <= value <= high for value in values)
    rising = values == sorted(values, key=lambda value: value or 0)
    return inside and rising and (found[3] is None or 0 < int(found[3]) <= high)


def _cron_value(text: str, name: str) -> int | None:
    if text.isdecimal():
        return int(text)
    day = text[:3].upper()
    return WEEKDAYS.index(day) if name == "weekday" and day in WEEKDAYS else None


def _check_recurrence(document: Document) -> Iterator[Finding]:
    interval = document.get("trigger", "interval", default=1)
    if not isinstance(interval, int) or interval < 1:
        what = f"The interval should be 1 or more, is {interval!r}."
        yield document.wrong(("trigger", "interval"), what)
    frequency = str(document.get("trigger", "frequency", default="")).lower()
    for key, value in document.section("trigger", "schedule").items():
        place: Place = ("trigger", "schedule", key)
        if key in RECURRENCE:
            low, high = RECURRENCE[key]
            for number in value if isinstance(value, list) else [value]:
                if not isinstance(number, int) or not low <= number <= high:
                    yield document.wrong(place, f"{key} should be {low} to {high}, is {number!r}.")
        needs = {"week_days": "week", "month_days": "month"}.get(key)
        if needs and frequency != needs:
            what = f"{key} has a meaning only with the frequency {needs}, not {frequency}."
            yield document.wrong(place, what)


def _check_time_zone(document: Document) -> Iterator[Finding]:
    from azure.ai.ml.constants import TimeZone

    name = str(document.get("trigger", "time_zone", default="UTC"))
    known = [zone.value for zone in TimeZone]
    if name in known:
        return
    near = difflib.get_close_matches(name, known, n=1)
    hint = f"Did you mean {near[0]!r}?" if near else "Such as 'W. Europe Standard Time' or UTC."
    if name in zoneinfo.available_timezones():
        hint = (
            f"{name} is an IANA name; use Windows' name for it, such as 'W. Europe Standard Time'."
        )
    yield document.wrong(("trigger", "time_zone"), f"Azure ML knows no time zone {name!r}.", hint)


def _check_times(document: Document) -> Iterator[Finding]:
    found: dict[str, datetime.datetime] = {}
    for key in ("start_time", "end_time"):
        value = document.get("trigger", key)
        try:
            if value is not None:
                found[key] = datetime.datetime.fromisoformat(str(value)).replace(tzinfo=None)
        except ValueError:
            what = f"{key} should be a time such as 2026-01-31T04:00:00, is {value!r}."
            yield document.wrong(("trigger", key), what)
    if len(found) == 2 and found["end_time"] <= found["start_time"]:
        yield document.wrong(("trigger", "end_time"), "The schedule ends before it starts.")
