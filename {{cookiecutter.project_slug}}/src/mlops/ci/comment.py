"""Comment on a pull request: ``python -m mlops.ci.comment EVALUATION.json``.

Runs in a job that may write comments, from the target branch's code and with nothing installed.
The evaluation comes from the pull request's own code, so it is only data: no text in it can
become a link, an image, a heading or a mention.
"""

from __future__ import annotations

import json
import sys
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any, Final

from mlops import ci
from mlops.ci.markdown import row
from mlops.errors import MlopsError

MARKER: Final = "<!-- mlops: the model of this pull request -->"
LONGEST_FILE: Final = 20_000_000  # bytes
LONGEST_TEXT: Final = 600
SLICES: Final = 20
REASONS: Final = 20


def render(evaluation: Mapping[str, Any], url: str) -> str:
    """Return the comment: the decision, champion beside challenger, and the slices."""
    decision = evaluation["decision"]
    lines = [f"### {_title(decision)}", ""]
    lines += [
        f"- {text(reason['code'])}: {text(reason['text'])}"
        for reason in decision["reasons"][:REASONS]
    ]
    lines += ["", *_metrics(evaluation), "", *_slices(evaluation), ""]
    rows = f"{int(evaluation['rows']):,} holdout rows"
    return "\n".join([*lines, f"On {rows}. [The whole report]({url}) is the run's summary.", ""])


def _title(decision: Mapping[str, Any]) -> str:
    if decision["accepted"] is True:
        return "The gate accepted this pull request's model"
    if [reason["code"] for reason in decision["reasons"]] == ["tie"]:
        return "This pull request's model scores the same as the target branch's"
    return "The gate refused this pull request's model"


def _metrics(evaluation: Mapping[str, Any]) -> Iterator[str]:
    champion = evaluation["champion_metrics"] or {}
    # On a pull request, the champion is the model of the target branch.
    yield "| Metric | Challenger | Champion |" if champion else "| Metric | Challenger |"
    yield "| :-- | --: | --: |" if champion else "| :-- | --: |"
    for name, value in sorted(evaluation["metrics"].items()):
        mark = " (decides)" if name == evaluation["gate_metric"] else ""
        cells = [f"{text(name)}{mark}", number(value)]
        yield row([*cells, number(champion.get(name))] if champion else cells)


def _slices(evaluation: Mapping[str, Any]) -> Iterator[str]:
    slices = evaluation["slices"]
    if not slices:
        return
    metric = evaluation["gate_metric"]
    yield f"<details><summary>{len(slices):,} slices</summary>\n"
    yield row(["Slice", "Rows", text(metric)])
    yield "| :-- | --: | --: |"
    for part in slices[:SLICES]:
        name = f"{part['slice']['column']} = {part['slice']['value']}"
        yield row([text(name), f"{int(part['rows']):,}", number(part["metrics"].get(metric))])
    if len(slices) > SLICES:
        yield f"\nThe other {len(slices) - SLICES:,} are in the report."
    yield "\n</details>"


def number(value: object) -> str:
    """Return four decimals, or a dash for an undefined value."""
    return "-" if value is None else f"{float(str(value)):.4f}"


def text(value: object) -> str:
    """Return any text so that GitHub shows it as it is, on one line.

    A character reference is never Markdown or HTML, and in ``<code>`` neither ``@name`` notifies
    anybody nor ``#1`` links to anything.
    """
    line = "".join(c if c.isprintable() else " " for c in str(value)).strip()[:LONGEST_TEXT]
    shown = "".join(c if c.isalnum() or c == " " else f"&#{ord(c)};" for c in line)
    return f"<code>{shown or '&#32;'}</code>"


def read(path: Path) -> dict[str, Any]:
    """Read an evaluation.

    Raises
    ------
    MlopsError
        It is not one.
    """
    try:
        if path.stat().st_size > LONGEST_FILE:
            raise ValueError("it is too large")
        content: dict[str, Any] = json.loads(path.read_text(encoding="utf-8"))
        render(content, "")
    except (OSError, ValueError, KeyError, TypeError, AttributeError, RecursionError) as error:
        raise MlopsError(f"{path} is not an evaluation: {error!r}") from error
    return content


def comment(job: ci.Job) -> None:
    """Comment with the evaluation in the file that the command line names."""
    job.comment(MARKER, render(read(Path(sys.argv[1])), job.url()))


if __name__ == "__main__":
    sys.exit(ci.report(comment))
