"""The jobs in docs/github-actions.md, from the workflow files: ``python -m workflows.page``, in tests/, writes them."""

import re
from collections.abc import Iterator
from pathlib import Path
from typing import Any

from rendering import ROOT

from workflows.repository import Run, load
from workflows.rules import Workflow, rights

PAGE = re.compile(r"(?<=<!-- jobs -->\n\n).*?(?=\n\n<!-- end of jobs -->)", re.DOTALL)
SECRET = re.compile(r"secrets\.(\w+)")
SETUP = ("Check out the code", "Install")
HEAD = ("| workflow | started by | job | environment | rights | secrets |", "|---|---|---|---|---|---|")
NAMES = {
    "workflow_dispatch": "by hand",
    "pull_request": "pull request",
    "workflow_call": "Train",
    "repository_dispatch": "event",
}


def table(folder: Path) -> str:
    """Return the table of a folder's workflows."""
    rows = [row for file in sorted(folder.glob("*.yml")) for row in _rows(load(file))]
    return "\n".join([*HEAD, *(f"| {' | '.join(cells)} |" for cells in rows)])


def _rows(workflow: Workflow) -> Iterator[tuple[str, ...]]:
    events = ", ".join(dict.fromkeys(map(_event, workflow["on"].items())))
    first = (workflow["name"], events)
    for job in workflow["jobs"].values():
        called = job["uses"].rpartition("/")[2] if "uses" in job else ""
        given = rights(workflow, job)
        may = ", ".join(f"{name}: {level}" for name, level in sorted(given.items()))
        secrets = ", ".join(f"`{name}`" for name in sorted(set(SECRET.findall(str(job)))))
        name = f"{job['name']} (calls {called})" if called else job["name"]
        yield (*first, name, job.get("environment", ""), may, secrets)
        first = ("", "")


def _event(item: tuple[str, Any]) -> str:
    name, settings = item
    if name == "schedule":
        return f"`{settings[0]['cron']}`"
    if name == "push":
        return "push to main that changes it" if "paths" in settings else "push to main"
    return NAMES[name]


def picture(run: Run) -> str:
    """Return a run from a push to production as a diagram: who does what, and who waits for whom."""
    lines = ["sequenceDiagram", "    actor you", "    participant Train", "    participant Staging"]
    lines += ["    actor reviewer", "    participant Production", "    you->>Train: push to main"]
    before = "Train"
    for step in run.steps:
        job = step.job.rpartition(" / ")[2]
        if step.name in SETUP:
            continue
        if step.name == "GitHub: production":
            lines += [f"    {before}-->>reviewer: GitHub asks for approval", f"    reviewer->>{job}: approves"]
        elif step.name.startswith("GitHub: "):
            lines += [f"    {before}->>{job}: a model won"] if job != before else []
        else:
            lines.append(f"    {job}->>{job}: {step.name}")
        before = job
    return "\n".join(lines)


def main() -> None:
    project = ROOT / "{{cookiecutter.project_slug}}"
    file = project / "docs" / "github-actions.md"
    made = table(project / ".github" / "workflows")
    file.write_text(PAGE.sub(lambda _: made, file.read_text(encoding="utf-8")), encoding="utf-8")


if __name__ == "__main__":
    main()
