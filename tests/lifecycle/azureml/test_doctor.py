"""The doctor: it finds nothing in this project, and whatever is done wrong to it."""

from __future__ import annotations

import shutil
import socket
from pathlib import Path

import pytest
from click.testing import CliRunner, Result
from mistakes import ROOT, Mistake, copy_project, make, mistakes, put
from mlops.azure.doctor import check_project
from mlops.azure.doctor.schedules import cron_problem
from mlops.azure.doctor.sizes import size_problem
from mlops.cli import main
from mlops.config import load_project


def doctor(root: Path, *options: str) -> Result:
    return CliRunner().invoke(main, ["--project", str(root), "doctor", *options])


@pytest.mark.parametrize("mistake", mistakes(), ids=lambda mistake: f"{mistake.file}: {mistake.title}")
def test_a_mistake_is_found_and_named(mistake: Mistake, tmp_path: Path) -> None:
    caught = make(mistake, tmp_path)
    said = [str(finding) for finding in caught.rules]
    if not any(mistake.says in words for words in said):
        said += map(str, caught.by_sdk())
    assert any(mistake.says in words for words in said), "\n".join(said) or "nothing was found"


def test_this_project_has_no_mistake(monkeypatch: pytest.MonkeyPatch) -> None:
    def refuse(self: socket.socket, address: object) -> None:
        raise AssertionError(f"{address} was asked")

    monkeypatch.setattr(socket.socket, "connect", refuse)
    result = doctor(ROOT, "--offline")
    assert result.exit_code == 0, result.output
    assert result.output == "No mistakes in azureml/ and project.yml.\n"


def test_mistakes_are_listed_with_file_and_line(tmp_path: Path) -> None:
    root = copy_project(tmp_path)
    put("size", "Standard_DS3v2")(root / "azureml" / "compute.yml")
    put("trigger.expression", "0 4 1 * *")(root / "azureml" / "schedule.yml")
    result = doctor(root, "--offline")
    assert result.exit_code == 1
    size, expression, error, fix = result.output.splitlines()
    lines = (root / "azureml" / "compute.yml").read_text("utf-8").splitlines()
    number = next(n for n, line in enumerate(lines, start=1) if line.startswith("size:"))
    assert size.startswith(f"azureml/compute.yml:{number}: Standard_DS3v2 is no known size")
    assert "Did you mean Standard_DS3_v2" in size
    assert "sets the day, which Azure ML ignores" in expression
    assert error == "Error: 2 mistakes in what Azure ML is asked for."
    assert fix == "Fix: Mend the lines above."


def test_a_project_without_a_subscription_is_asked_for_one(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delenv("AZURE_SUBSCRIPTION_ID", raising=False)
    result = doctor(ROOT)
    assert result.exit_code == 2
    assert "AZURE_SUBSCRIPTION_ID is not set" in result.output


def test_a_project_without_azureml_is_told_so(tmp_path: Path) -> None:
    root = copy_project(tmp_path)
    shutil.rmtree(root / "azureml")
    result = doctor(root, "--offline")
    assert result.exit_code == 2
    assert f"{root / 'azureml'} holds no files." in result.output


def test_an_ignored_file_is_as_good_as_missing(tmp_path: Path) -> None:
    root = copy_project(tmp_path)
    ignore = root / "src" / ".amlignore"
    ignore.write_text(ignore.read_text("utf-8") + "score.py\nbatch_score.py\n", "utf-8")
    found = [str(finding) for finding in check_project(load_project(root))]
    scripts = list((root / "azureml").glob("*/deployment.yml"))
    assert len(found) == len(scripts) > 0
    assert all("score.py in what is uploaded" in words for words in found)


def test_a_folder_of_data_is_as_good_as_a_file(tmp_path: Path) -> None:
    root = copy_project(tmp_path)
    data = load_project(root).data_path
    data.unlink() if data.is_file() else shutil.rmtree(data)
    data.mkdir()
    found = check_project(load_project(root))
    assert [(finding.file, finding.what) for finding in found] == [
        (
            "azureml/data.yml",
            f"../{data.relative_to(root).as_posix()} is a folder, and the type uri_file.",
        )
    ]
    put("type", "uri_folder")(root / "azureml" / "data.yml")
    assert check_project(load_project(root)) == []


@pytest.mark.parametrize(
    "expression",
    [
        "0 4 * * 1",
        "*/5 * * * *",
        "0,30 9-17 * * MON-FRI",
        "15 */6 * * *",
        "0 0 * * 0,6",
        "5 4 * * sun",
    ],
)
def test_a_good_cron_expression_passes(expression: str) -> None:
    assert cron_problem(expression) is None


@pytest.mark.parametrize(
    "expression",
    [
        "",
        "* * * *",
        "* * * * * *",
        "@daily",
        "a * * * *",
        "-1 * * * *",
        "0 24 * * *",
        "0 1-2-3 * * *",
        "0,, 4 * * *",
        "0/0 4 * * *",
        "0 4 * * FUNDAY",
        "0 4 * * 1-9",
        "0 4 31 2 *",
        "0 4 * JAN *",
    ],
)
def test_a_bad_cron_expression_is_refused(expression: str) -> None:
    assert cron_problem(expression) is not None


@pytest.mark.parametrize(
    "size",
    [
        "Standard_DS3_v2",
        "standard_ds3_v2",
        "STANDARD_D4S_V5",
        "Standard_D2as_v4",
        "Standard_E20s_v3",
        "Standard_E4ds_v4",
        "Standard_F8s_v2",
        "Standard_NC6s_v3",
        "Standard_NC24ads_A100_v4",
    ],
)
def test_a_size_that_azure_has_is_known(size: str) -> None:
    assert size_problem(size) is None


@pytest.mark.parametrize(
    ("size", "near"),
    [
        ("Standard_DS3_V3", "Standard_DS3_v2"),
        ("Standard_D4s_v55", "Standard_D4s_v5"),
        ("D4s_v5", "Standard_D4s_v5"),
        ("Standard-DS3-v2", "Standard_DS3_v2"),
    ],
)
def test_a_size_that_azure_lacks_is_answered_with_one_like_it(size: str, near: str) -> None:
    problem = size_problem(size)
    assert problem is not None
    assert problem[1].startswith("Did you mean ")
    assert near in problem[1].partition("?")[0]
