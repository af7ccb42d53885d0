"""Remove the files of options that were not chosen, print the next steps, and connect the project if that was chosen.

Cookiecutter renders this file and runs it in the new project's folder. cruft also runs it, in temporary folders and
twice for each update, so what it writes must be pure: no git, no network, no clock, no randomness. Only connecting is
not, and never happens under cruft. Imports take most of a hook's time, hence no pathlib.
"""

import json
import os
import shutil
import sys

# The Python versions that a project runs on, newest first: requires-python in its pyproject.toml.
PYTHONS = ("3.13", "3.12", "3.11")

# What connects a project later.
CONNECT = f"{os.path.basename(sys.executable)} src/mlops/connect"

# option -> choice -> the files that only this choice keeps.
KEPT_BY: dict[str, dict[str, tuple[str, ...]]] = {
    "ci_cd": {
        "github-actions": (
            ".github/CODEOWNERS",
            ".github/actions/install/action.yml",
            ".github/actions/terraform/action.yml",
            ".github/dependabot.yml",
            ".github/workflows/drift.yml",
            ".github/workflows/infra.yml",
            ".github/workflows/monitor.yml",
            ".github/workflows/pull-request.yml",
            ".github/workflows/release.yml",
            ".github/workflows/rollback.yml",
            ".github/workflows/train.yml",
            "docs/github-actions.md",
            "src/mlops/ci/github.py",
            "src/mlops/connect/github/__init__.py",
            "src/mlops/connect/github/api.py",
            "src/mlops/connect/github/environments.py",
            "src/mlops/connect/github/protection.py",
            "src/mlops/connect/github/repository.py",
            "src/mlops/connect/github/runs.py",
            "src/mlops/connect/github/subject.py",
            "src/mlops/connect/github/wiring.py",
            "infra/github/main.tf",
            "infra/github.tf",
            "infra/tests/github.tftest.hcl",
            "infra/bootstrap/github.tf",
        ),
        "azure-pipelines": (
            "azure-pipelines/drift.yml",
            "azure-pipelines/infra.yml",
            "azure-pipelines/monitor.yml",
            "azure-pipelines/pull-request.yml",
            "azure-pipelines/release.yml",
            "azure-pipelines/rollback.yml",
            "azure-pipelines/templates/jobs-plan.yml",
            "azure-pipelines/templates/stages-infra.yml",
            "azure-pipelines/templates/stages-release.yml",
            "azure-pipelines/templates/steps-azure.yml",
            "azure-pipelines/templates/steps-install.yml",
            "azure-pipelines/templates/steps-terraform.yml",
            "azure-pipelines/train.yml",
            "src/mlops/ci/azure_devops.py",
            "src/mlops/ci/azure_pipelines.py",
            "src/mlops/connect/azure_devops/__init__.py",
            "src/mlops/connect/azure_devops/api.py",
            "src/mlops/connect/azure_devops/checks.py",
            "src/mlops/connect/azure_devops/connections.py",
            "src/mlops/connect/azure_devops/pipelines.py",
            "src/mlops/connect/azure_devops/policies.py",
            "src/mlops/connect/azure_devops/project.py",
            "src/mlops/connect/azure_devops/wiring.py",
            "docs/azure-pipelines.md",
            "infra/azure_devops.tf",
            "infra/tests/azure_devops.tftest.hcl",
            "infra/bootstrap/azure_devops.tf",
        ),
    },
    "serving": {
        "managed": ("azureml/managed/deployment.yml", "azureml/managed/endpoint.yml"),
        "aci-aks": (
            "azureml/kubernetes/compute.yml",
            "azureml/kubernetes/deployment.yml",
            "azureml/kubernetes/endpoint.yml",
            "azureml/container/Dockerfile",
            "infra/aks.tf",
            "infra/container_instance.tf",
            "infra/tests/aks.tftest.hcl",
            "infra/tests/container_instance.tftest.hcl",
        ),
    },
    "batch_endpoint": {
        "yes": (
            "azureml/batch/deployment.yml",
            "azureml/batch/endpoint.yml",
            "azureml/batch/pipeline.yml",
            "azureml/batch/score.yml",
        ),
    },
    "monitoring": {
        "yes": (
            "azureml/monitoring.yml",
            ".github/workflows/monitor.yml",
            "azure-pipelines/monitor.yml",
        ),
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
    """Return the project's paths that belong to a choice that was not made; a path may belong to several choices."""
    return sorted(
        {
            path
            for option, choices in KEPT_BY.items()
            for choice, paths in choices.items()
            if choice != answers[option]
            for path in paths
        }
    )


def prune(paths: list[str]) -> None:
    """Remove files from the project in the current folder, and the folders that they leave empty.

    Files of your own in these folders stay, where an existing project is rendered again.

    Raises:
        FileNotFoundError: KEPT_BY lists a file that is not in the template.
    """
    for path in paths:
        os.remove(path)
        folder = os.path.dirname(path)
        while folder and not os.listdir(folder):
            os.rmdir(folder)
            folder = os.path.dirname(folder)


def venv_command(running: str, *, windows: bool) -> str | None:
    """Return a command that creates .venv with a supported Python on this machine, or None if there is none.

    ``running`` is the version that runs this hook, such as 3.13.
    """
    if running in PYTHONS:
        name = "python" if windows else "python3"
        on_path = shutil.which(name)
        is_same = on_path is not None and os.path.realpath(on_path) == os.path.realpath(sys.executable)
        return f"{name if is_same else quoted(sys.executable)} -m venv .venv"
    if shutil.which("uv"):
        return f"uv venv --seed --python {PYTHONS[0]} .venv"
    for version in PYTHONS:
        command = ["py", f"-{version}"] if windows else [f"python{version}"]
        if shutil.which(command[0]) and works(command):
            return " ".join(command) + " -m venv .venv"
    return None


def quoted(path: str) -> str:
    return f'"{path}"' if " " in path else path


def works(command: list[str]) -> bool:
    """Return whether a command starts Python: pyenv puts names on the PATH that start nothing."""
    import subprocess  # slow to import, and needed only if this Python is not supported

    return subprocess.run([*command, "-c", ""], capture_output=True, check=False).returncode == 0


def next_steps(slug: str, running: str, *, windows: bool) -> str:
    """Return the commands that take a new project to its first evaluated model, for one kind of shell."""
    create = venv_command(running, windows=windows)
    needs = f"{slug} is ready. It needs Python {PYTHONS[-1]} to {PYTHONS[0]}"
    if running not in PYTHONS:
        needs += f"; cookiecutter runs on {running}"
    if create is None:
        needs += f". Install Python {PYTHONS[0]} first, then"
        create = f"{f'py -{PYTHONS[0]}' if windows else f'python{PYTHONS[0]}'} -m venv .venv"
    scripts = ".venv\\Scripts\\" if windows else ".venv/bin/"
    return f"""
{needs}:

    cd {slug}
    {create}
    {scripts}python -m pip install --no-deps -e .
    {scripts}python -m pip install -r requirements.txt
    {scripts}mlops run
"""


def may_connect(answers: dict[str, str]) -> bool:
    """Return whether to connect the project in the current folder: as chosen, once, and only where it stays.

    cruft renders into temporary folders, and knows no output folder.
    """
    if answers["connect"] != "yes" or not answers.get("_output_dir") or os.path.exists(".git"):
        return False
    return os.path.realpath(os.path.join(answers["_output_dir"], answers["project_slug"])) == os.path.realpath(".")


def connect(slug: str) -> None:
    """Run `mlops connect`, which needs no installation; whatever happens to it, the project stays."""
    import subprocess  # as above

    if sys.stdin.isatty() or os.environ.get("MLOPS_CONNECT_YES") == "1":
        subprocess.run([sys.executable, "-B", os.path.join("src", "mlops", "connect")], check=False)
    else:
        print(f"Not connected: there is no terminal to ask at. To connect it, in {slug}: {CONNECT}\n")


def main(answers: dict[str, str]) -> None:
    """Prune the project in the current folder, print the next steps, and connect it."""
    prune(paths_to_remove(answers))
    running = ".".join(map(str, sys.version_info[:2]))
    print(next_steps(answers["project_slug"], running, windows=sys.platform == "win32"), flush=True)
    if may_connect(answers):
        connect(answers["project_slug"])


if __name__ == "__main__":
    # Encoded twice: the answers become one Python string literal, whatever quotes or backslashes they contain.
    main(json.loads({{cookiecutter | tojson | tojson}}))  # type: ignore[arg-type, name-defined]  # noqa: F821
