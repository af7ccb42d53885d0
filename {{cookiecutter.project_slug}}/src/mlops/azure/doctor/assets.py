"""Rules about environments, data, endpoints, deployments and schedules."""

from __future__ import annotations

import ast
import re
from collections.abc import Iterator
from pathlib import Path

from mlops.azure.doctor.documents import Context, Document, Finding
from mlops.azure.doctor.fields import BATCH, ONLINE_ENDPOINTS, check_defined

# The fields of a cron expression, and how many values each has; 0: Azure ML ignores the field.
CRON = {"minute": 60, "hour": 24, "day": 0, "month": 0, "weekday": 7}
WEEKDAYS = ("SUN", "MON", "TUE", "WED", "THU", "FRI", "SAT")
# A part of a cron field: * or a value or a range of values, and perhaps a step.
PART = re.compile(r"(?:\*|(\d+)(?:-(\d+))?)(?:/(\d+))?")


def is_uploaded(folder: Path, path: str | Path) -> bool:
    """Return whether a file below ``folder`` exists and .amlignore does not exclude it."""
    from azure.ai.ml._utils._asset_utils import get_ignore_file

    file = folder / path
    return file.exists() and not get_ignore_file(folder).is_file_excluded(file)


def check_environment(document: Document, context: Context) -> Iterator[Finding]:
    """Check that the files that the image is built from are uploaded."""
    folder = document.local(str(document.get("build", "path", default=".")))
    if not document.section("build") or not folder.is_dir():
        return
    field = ("build", "dockerfile_path")
    recipe = str(document.get(*field, default="Dockerfile"))
    copied = _copied(folder / recipe) if is_uploaded(folder, recipe) else []
    for file in (recipe, *copied):
        if not is_uploaded(folder, file):
            subject = file if file == recipe else f"{recipe} copies {file}, which"
            message = f"{subject} is not in the uploaded folder."
            yield document.finding("AZ009", field, message, "Check the path and .amlignore.")


def _copied(recipe: Path) -> list[str]:
    """Return the paths that a Dockerfile copies from its context."""
    lines = recipe.read_text(encoding="utf-8").replace("\\\n", " ").splitlines()
    copies = [line.split()[1:-1] for line in lines if line.split()[:1] == ["COPY"]]
    return [word for words in copies for word in words if not word.startswith("--")]


def check_data(document: Document, context: Context) -> Iterator[Finding]:
    """Check that a local path is of the asset's type."""
    path, kind = str(document.get("path", default="")), document.get("type")
    if not path or kind not in ("uri_file", "uri_folder") or not document.local(path).exists():
        return
    found = "uri_folder" if document.local(path).is_dir() else "uri_file"
    if kind != found:
        message = f"{path} is a {found.removeprefix('uri_')}, but type is {kind}."
        yield document.finding("AZ040", ("type",), message, f"Use type: {found}.")


def check_traffic(document: Document, context: Context) -> Iterator[Finding]:
    """Check the shares of an endpoint's traffic."""
    for key, totals, words in (
        ("traffic", (0, 100), "100"),
        ("mirror_traffic", range(51), "at most 50"),
    ):
        shares = list(document.section(key).values())
        valid = all(isinstance(share, int) and share >= 0 for share in shares)
        if not valid or sum(shares) not in totals:
            message = f"{key} is {', '.join(map(str, shares))}."
            yield document.finding("AZ042", (key,), message, f"Use shares that sum to {words} %.")


def check_deployment(document: Document, context: Context) -> Iterator[Finding]:
    """Check that a deployment's endpoint exists, and its scoring script."""
    kinds = ("batchEndpoint",) if document.kind == BATCH else ONLINE_ENDPOINTS
    for path, endpoint in document.match("endpoint_name"):
        yield from check_defined(document, path, str(endpoint), context.names(*kinds))
    folder = document.local(str(document.get("code_configuration", "code", default=".")))
    for path, script in document.match("code_configuration.scoring_script"):
        if not folder.is_dir():
            continue
        if not is_uploaded(folder, str(script)):
            message = f"{script} is not in the uploaded folder {folder.name}/."
            yield document.finding("AZ009", path, message, "Check the path and .amlignore.")
        elif problem := _script_problem(folder / str(script)):
            message = f"{script} {problem}."
            yield document.finding("AZ041", path, message, "Define init() and run(data).")


def _script_problem(script: Path) -> str | None:
    try:
        tree = ast.parse(script.read_text(encoding="utf-8"))
    except SyntaxError as error:
        return f"is not valid Python: line {error.lineno}: {error.msg}"
    defined = {node.name for node in tree.body if isinstance(node, ast.FunctionDef)}
    missing = [name for name in ("init", "run") if name not in defined]
    return f"does not define {' and '.join(missing)}" if missing else None


def check_trigger(document: Document, context: Context) -> Iterator[Finding]:
    """Check that a schedule runs when it says."""
    from azure.ai.ml.constants import TimeZone

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
            yield document.finding("AZ044", path, message, f"Use frequency: {needed}.")
    start, end = (
        str(document.get("trigger", f"{key}_time", default="")) for key in ("start", "end")
    )
    if "" < end <= start:  # ISO times sort as text
        message = "The schedule ends before it starts."
        yield document.finding("AZ044", ("trigger", "end_time"), message, "Swap the two times.")
    for path, zone in document.match("trigger.time_zone"):
        if str(zone) not in {known.value for known in TimeZone}:
            message = f"Azure ML does not know the time zone {zone!r}."
            fix = "Use UTC or a Windows name such as 'W. Europe Standard Time', not an IANA name."
            yield document.finding("AZ072", path, message, fix)


def cron_problem(expression: str) -> str | None:
    """Return why Azure ML would not run a cron expression as written; None if it would."""
    parts = expression.split()
    if len(parts) != len(CRON):
        return f"has {len(parts)} fields, not {len(CRON)}"
    for text, (name, count) in zip(parts, CRON.items(), strict=True):
        if count == 0:
            if text != "*":
                return f"sets the {name}, which Azure ML ignores"
            continue
        numbers = text
        for number, day in enumerate(WEEKDAYS if name == "weekday" else ()):
            numbers = re.sub(rf"\b{day}[a-z]*", str(number), numbers, flags=re.I)
        if not all(_is_cron_part(part, count) for part in numbers.split(",")):
            return f"has the {name} {text!r}, which is not within 0 to {count - 1}"
    return None


def _is_cron_part(part: str, count: int) -> bool:
    found = PART.fullmatch(part)
    if not found:
        return False
    first, last, step = (int(text) if text else None for text in found.groups())
    first = first or 0
    return first <= (first if last is None else last) < count and (step is None or 0 < step < count)
