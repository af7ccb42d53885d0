"""The comment on a pull request shows any text of its evaluation, and turns none of it into Markdown or HTML."""

import copy
import json
import re
from pathlib import Path
from typing import Any

import pytest
from markdown_it import MarkdownIt
from mlops.ci.comment import read, render
from mlops.errors import MlopsError

HOSTILE = (
    "<img src=x onerror=alert(1)>",
    "</code></details><script>alert(1)</script>",
    "[click](https://evil.example)",
    "![x](https://evil.example/pixel)",
    "https://evil.example and www.evil.example",
    "@org/team and @carol",
    "fixes #1, GH-2, org/repo#3",
    "a | b || c",
    "`code` ``more`` ```\nfence",
    "\n\n# Approved by security\n\n- [x] done",
    "&lt;b&gt; &#60;b&#62;",
    "*bold* _it_ ~~no~~ \\* $x$",
    "<!-- mlops: the model of this pull request -->",
    "\u202egnp.exe \u0000 \x1b[31m",
    "",
)
EVALUATION: dict[str, Any] = {
    "decision": {"accepted": True, "reasons": [{"code": "better", "text": "It scores better."}]},
    "metrics": {"roc_auc": 0.8, "log_loss": None},
    "champion_metrics": {"roc_auc": 0.7},
    "gate_metric": "roc_auc",
    "rows": 1000,
    "slices": [{"slice": {"column": "home", "value": "rent"}, "rows": 10, "metrics": {"roc_auc": 0.9}}],
}
URL = "https://github.com/ORG/credit-risk/actions/runs/1"
TAGS = re.compile(r"</?([a-z0-9]+)[^>]*>")


def places(text: str) -> dict[str, Any]:
    """Return an evaluation with a text wherever it has one."""
    made = copy.deepcopy(EVALUATION)
    made["decision"]["reasons"] = [{"code": text, "text": text}]
    made["metrics"] = {text: 0.5, "roc_auc": 0.8}
    made["slices"][0]["slice"] = {"column": text, "value": text}
    return made


@pytest.mark.parametrize("text", HOSTILE)
def test_no_text_becomes_markup(text: str) -> None:
    page = MarkdownIt("gfm-like", {"linkify": False}).render(render(places(text), URL))
    plain = MarkdownIt("gfm-like", {"linkify": False}).render(render(places("x"), URL))
    assert TAGS.findall(page) == TAGS.findall(plain)
    assert re.findall(r'(?:href|src)="([^"]*)"', page) == [URL]
    outside = re.sub(r"<code>.*?</code>", "", page, flags=re.DOTALL)
    assert "@" not in outside
    assert "#1" not in outside


@pytest.mark.parametrize(
    "content",
    ["", "[]", "null", "{}", json.dumps({**EVALUATION, "rows": "many"}), json.dumps({**EVALUATION, "metrics": 3})],
)
def test_what_is_not_an_evaluation_is_refused(content: str, tmp_path: Path) -> None:
    file = tmp_path / "evaluation.json"
    file.write_text(content, encoding="utf-8")
    with pytest.raises(MlopsError, match="is not an evaluation"):
        read(file)


def test_the_figures_stand_side_by_side() -> None:
    lines = render(EVALUATION, URL).splitlines()
    assert "| Metric | Challenger | Champion |" in lines
    assert "| <code>roc&#95;auc</code> (decides) | 0.8000 | 0.7000 |" in lines
    assert "| <code>log&#95;loss</code> | - | - |" in lines
    without = render({**EVALUATION, "champion_metrics": None}, URL).splitlines()
    assert "| Metric | Challenger |" in without
