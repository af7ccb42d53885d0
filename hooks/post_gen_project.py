"""Remove the files that the chosen options don't need, and say what to do next.

Cookiecutter renders this file and runs it in the new project's folder. cruft runs it too, in temporary folders and
twice for each update, so it must stay pure: no git, no network, no clock, no randomness. Imports are most of the time
that a hook takes, so it also does without pathlib.
"""

import json
import os
import shutil
import sys

# option -> choice -> the paths that only this choice keeps.
KEPT_BY: dict[str, dict[str, tuple[str, ...]]] = {
    "ci_cd": {
        "github-actions": (
            ".github",
            "infra/github",
            "infra/github.tf",
            "infra/tests/github.tftest.hcl",
            "infra/bootstrap/github.tf",
        ),
        "azure-pipelines": (
            "azure-pipelines",
            "infra/azure_devops.tf",
            "infra/tests/azure_devops.tftest.hcl",
            "infra/bootstrap/azure_devops.tf",
        ),
    },
    "serving": {
        "managed": ("azureml/managed",),
        "aci-aks": (
            "azureml/kubernetes",
            "azureml/container",
            "infra/aks.tf",
            "infra/container_instance.tf",
            "infra/tests/aks.tftest.hcl",
            "infra/tests/container_instance.tftest.hcl",
        ),
    },
    "batch_endpoint": {
        "yes": ("azureml/batch", "src/mlops/serving/batch_score.py"),
    },
    "monitoring": {
        "yes": ("azureml/monitoring.yml",),
    },
    "network": {
        "public": (
            "infra/network_public.tf",
            "infra/tests/network_public.tftest.hcl",
            "infra/bootstrap/network_public.tf",
        ),
        "private": (
            "infra/network_private.tf",
            "infra/tests/network_private.tftest.hcl",
            "infra/bootstrap/network_private.tf",
            "infra/bootstrap/tests/network_private.tftest.hcl",
        ),
    },
}


def paths_to_remove(answers: dict[str, str]) -> list[str]:
    """Return the paths, relative to the project, that belong only to choices that were not made."""
    return [
        path
        for option, choices in KEPT_BY.items()
        for choice, paths in choices.items()
        if choice != answers[option]
        for path in paths
    ]


def prune(paths: list[str]) -> None:
    """Remove files and whole folders from the project in the current folder.

    Raises:
        FileNotFoundError: KEPT_BY lists a path that the template does not have.
    """
    for path in paths:
        if os.path.isdir(path):
            shutil.rmtree(path)
        else:
            os.remove(path)


def next_steps(slug: str, *, windows: bool) -> str:
    """Return the commands that take a new project to its first evaluated model, for one kind of shell."""
    python, scripts = ("python", ".venv\\Scripts\\") if windows else ("python3", ".venv/bin/")
    return f"""
{slug} is ready. With Python 3.11 to 3.13:

    cd {slug}
    {python} -m venv .venv
    {scripts}python -m pip install -r requirements.txt -e .
    {scripts}mlops run
"""


def main(answers: dict[str, str]) -> None:
    """Prune the project in the current folder and print the next steps."""
    prune(paths_to_remove(answers))
    print(next_steps(answers["project_slug"], windows=sys.platform == "win32"))


if __name__ == "__main__":
    # Encoded twice: the answers become one Python string literal, whatever quotes or backslashes they hold.
    main(json.loads({{cookiecutter | tojson | tojson}}))  # type: ignore[arg-type, name-defined]  # noqa: F821
