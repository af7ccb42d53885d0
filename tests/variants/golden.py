"""The golden list: the files of every variant, and those that come with a choice."""

from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path

from variants.findings import Answers, Finding

ALWAYS = "every variant"
HEADER = "# The files of every variant, and those that come with a choice. `make golden` rewrites this list.\n"


def write_golden(path: Path, variants: Sequence[Answers], files: Sequence[set[str]]) -> None:
    """Write the list that describes the files of all variants.

    Raises:
        ValueError: No list of choices says which variants have a file.
    """
    sections: dict[str, list[str]] = {}
    for file in sorted(set().union(*files)):
        holding = [variant for variant, paths in zip(variants, files, strict=True) if file in paths]
        condition = _condition(holding, variants)
        if [variant for variant in variants if _holds(condition, variant)] != holding:
            raise ValueError(f"{file} does not depend on a list of choices")
        sections.setdefault(condition, []).append(file)
    blocks = [f"[{name}]\n" + "".join(f"{file}\n" for file in sections[name]) for name in _in_order(sections)]
    path.write_text("\n".join([HEADER, *blocks]), encoding="utf-8")


def read_golden(path: Path) -> dict[str, list[str]]:
    """Return the files by the condition of their section."""
    sections: dict[str, list[str]] = {}
    for line in path.read_text(encoding="utf-8").splitlines():
        if line.startswith("["):
            section = sections.setdefault(line.strip("[]"), [])
        elif line and not line.startswith("#"):
            section.append(line)
    return sections


def differences(golden: Mapping[str, Sequence[str]], variant: Answers, files: set[str]) -> Iterator[Finding]:
    """Yield the files that a variant lacks, and those it should not have."""
    expected = {file for condition, paths in golden.items() if _holds(condition, variant) for file in paths}
    for file in sorted(expected - files):
        yield Finding("file-set", file, 0, "missing", "it is in the golden list (intended? `make golden`)")
    for file in sorted(files - expected):
        yield Finding("file-set", file, 0, "unexpected", "it is not in the golden list (intended? `make golden`)")


def _condition(holding: Sequence[Answers], variants: Sequence[Answers]) -> str:
    """Return the choices that all of ``holding`` share, such as ``serving=aci|aks + ci_cd=github-actions``."""
    parts = []
    for option in variants[0]:
        all_choices = dict.fromkeys(variant[option] for variant in variants)
        choices = [choice for choice in all_choices if any(variant[option] == choice for variant in holding)]
        if len(choices) < len(all_choices):
            parts.append(f"{option}={'|'.join(choices)}")
    return " + ".join(parts) or ALWAYS


def _holds(condition: str, variant: Answers) -> bool:
    if condition == ALWAYS:
        return True
    parts = (part.partition("=") for part in condition.split(" + "))
    return all(variant.get(option) in choices.split("|") for option, _, choices in parts)


def _in_order(sections: Mapping[str, object]) -> list[str]:
    """Sort the conditions by their number of options, `every variant` first."""
    return sorted(sections, key=lambda name: (name != ALWAYS, name.count(" + "), name))
