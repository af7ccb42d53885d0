"""Rules about schedules: cron expressions, recurrences, time zones and times; and monitors."""

from __future__ import annotations

import datetime
import difflib
import re
import zoneinfo
from collections.abc import Iterator

from mlops.azure.doctor.documents import Context, Document, Finding
from mlops.azure.doctor.fields import MONITORED, undefined

FIELDS = (("minute", 0, 59), ("hour", 0, 23), ("day", 1, 31), ("month", 1, 12), ("weekday", 0, 6))
WEEKDAYS = ("SUN", "MON", "TUE", "WED", "THU", "FRI", "SAT")
# A part of a cron field: * or a value or a range of values, and perhaps a step.
PART = re.compile(r"(?:\*|(\w+)(?:-(\w+))?)(?:/(\d+))?")


def check_trigger(document: Document, context: Context) -> Iterator[Finding]:
    """Check when a schedule runs."""
    for path, expression in document.match("trigger.expression"):
        if problem := cron_problem(str(expression)):
            message = f"The cron expression {expression!r} {problem}."
            fix = "Use minute, hour, day, month and weekday, such as '0 4 * * 1'."
            yield document.finding("AZ044", path, message, fix)
    frequency = str(document.get("trigger", "frequency", default="")).lower()
    for key, needed in (("week_days", "week"), ("month_days", "month")):
        if key in document.section("trigger", "schedule") and frequency != needed:
            message = f"{key} has no effect with the frequency {frequency or 'of a cron'}."
            path = ("trigger", "schedule", key)
            yield document.finding("AZ045", path, message, f"Use frequency: {needed}.")
    yield from _check_time_zone(document)
    yield from _check_times(document)


def cron_problem(expression: str) -> str | None:
    """Return why Azure ML would not run a cron expression as written; None if it would."""
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


def _check_time_zone(document: Document) -> Iterator[Finding]:
    from azure.ai.ml.constants import TimeZone

    name = str(document.get("trigger", "time_zone", default="UTC"))
    known = [zone.value for zone in TimeZone]
    if name in known:
        return
    near = difflib.get_close_matches(name, known, n=1)
    fix = f"Did you mean {near[0]!r}?" if near else "Use UTC or a name such as"
    if name in zoneinfo.available_timezones():
        fix = "This is an IANA name; use the Windows name, such as"
    fix += "" if fix.endswith("?") else " 'W. Europe Standard Time'."
    message = f"Azure ML does not know the time zone {name!r}."
    yield document.finding("AZ072", ("trigger", "time_zone"), message, fix)


def _check_times(document: Document) -> Iterator[Finding]:
    found: dict[str, datetime.datetime] = {}
    for key in ("start_time", "end_time"):
        value = document.get("trigger", key)
        try:
            if value is not None:
                found[key] = datetime.datetime.fromisoformat(str(value)).replace(tzinfo=None)
        except ValueError:
            message = f"{key} is {value!r}, which is not a time."
            fix = "Use a time such as 2026-01-31T04:00:00."
            yield document.finding("AZ046", ("trigger", key), message, fix)
    if len(found) == 2 and found["end_time"] <= found["start_time"]:
        message = "The schedule ends before it starts."
        yield document.finding("AZ046", ("trigger", "end_time"), message, "Swap the two times.")


def check_monitor(document: Document, context: Context) -> Iterator[Finding]:
    """Check that a monitor watches a deployment of an endpoint."""
    names = context.names("managedOnlineEndpoint", "kubernetesOnlineEndpoint")
    for path, target in document.match(MONITORED):
        found = re.fullmatch(r"azureml:([\w-]+):[\w-]+", str(target))
        if not found:
            message = f"{target!r} is not a valid reference to a deployment."
            yield document.finding("AZ010", path, message, "Use azureml:ENDPOINT:DEPLOYMENT.")
        elif found[1] not in names:
            yield undefined(document, path, found[1], names)
