"""What errors advise: nothing that destroys anything without saying what is lost."""

import ast
import re
from collections.abc import Iterator

import pytest
from rendering import ROOT

SOURCE = ROOT / "{{cookiecutter.project_slug}}" / "src" / "mlops"
ERRORS = ("ConfigError", "DataError", "ReleaseError", "AzureError", "Refused", "Reason", "Finding", "finding")
DESTROYS = re.compile(
    r"\b(delete|remove|drop|destroy|purge|archive|overwrite|start over)\b(?! data\.| model\.| it from)", re.I
)
SAYS_WHAT_IS_LOST = re.compile(r"\b(los[et]\w*|cancels|ends|neither|no longer|without it|kept)\b", re.I)
# What is removed is a line that somebody wrote, and git has it.
LINES = re.compile(r"Use it or remove it|Remove data\.positive|Remove \w+\.\w+")


def advice() -> Iterator[tuple[str, str]]:
    """Yield where each error is made, and all of its words."""
    for file in sorted(SOURCE.rglob("*.py")):
        for node in ast.walk(ast.parse(file.read_text(encoding="utf-8"))):
            if isinstance(node, ast.Call) and ast.unparse(node.func).rpartition(".")[2] in ERRORS:
                values = [*node.args, *(keyword.value for keyword in node.keywords)]
                words = (part.value for value in values for part in ast.walk(value) if isinstance(part, ast.Constant))
                text = " ".join(word for word in words if isinstance(word, str))
                yield f"{file.relative_to(SOURCE)}:{node.lineno}", LINES.sub("", text)


@pytest.mark.parametrize(
    ("text", "harmful"),
    [
        ("Delete mlflow.db to start over.", True),
        ("Delete it, which ends what it serves.", False),
        ("Drop these rows in load().", True),
        ("Restore it from git.", False),
    ],
)
def test_harmful_advice_is_recognized(text: str, harmful: bool) -> None:
    assert bool(DESTROYS.search(text) and not SAYS_WHAT_IS_LOST.search(text)) == harmful


def test_no_error_advises_to_destroy_without_saying_what_is_lost() -> None:
    found = dict(advice())
    assert len(found) > 50
    assert {
        place: text for place, text in found.items() if DESTROYS.search(text) and not SAYS_WHAT_IS_LOST.search(text)
    } == {}
