"""The settings of an environment for Terraform, infra/ENVIRONMENT.tfvars, which git keeps."""

from __future__ import annotations

import re
from collections.abc import Iterable, Mapping

from mlops.connect.local_git import LocalGit
from mlops.connect.steps import Change


def look(
    git: LocalGit, environment: str, names: Iterable[str], values: Mapping[str, str], message: str
) -> list[Change]:
    """Return what is left to do until some variables have these values, in a commit.

    Parameters
    ----------
    names : iterable of str
        The variables; those without a value are removed.
    values : mapping of str to str
        As HCL.
    """
    name = f"infra/{environment}.tfvars"
    file = git.root / name
    text = file.read_text(encoding="utf-8") if file.is_file() else ""
    found = [one.rstrip("\n") for one in re.findall(_pattern(names), text, re.MULTILINE)]
    wanted = text if found == _lines(values) else with_values(text, names, values)

    def act() -> None:
        file.write_text(wanted, encoding="utf-8")
        git.commit(message, name)

    if wanted != text:
        words = f"write {' and '.join(values) or 'no ids'} to {name}, and commit it"
        return [Change(words, act)]
    return [Change(f"commit {name}", act)] if text and git.is_changed(name) else []


def with_values(text: str, names: Iterable[str], values: Mapping[str, str]) -> str:
    """Return the text of a .tfvars file with some values, and whatever else it has.

    Each is in a paragraph of its own: `terraform fmt` aligns lines that follow each other.
    """
    kept = re.sub(_pattern(names), "", text, flags=re.MULTILINE).strip("\n")
    paragraphs = [*([kept.rstrip()] if kept else []), *_lines(values)]
    return "\n\n".join(paragraphs) + "\n" * bool(paragraphs)


def _lines(values: Mapping[str, str]) -> list[str]:
    return [f"{name} = {value}" for name, value in values.items()]


def _pattern(names: Iterable[str]) -> str:
    """Return what matches an assignment to any of the variables, also over several lines."""
    value = r"(?:\{[^}]*\}|[^\n{]*)"
    return rf"^(?:{'|'.join(names)})[ \t]*=[ \t]*{value}\n?"
