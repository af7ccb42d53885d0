"""`mlops doctor` finds nothing in this project, and exactly the mistakes that are made in a copy of it."""

from __future__ import annotations

import shutil
import socket
from pathlib import Path

import pytest
from click.testing import CliRunner, Result
from conftest import make_evaluation
from mistakes import ALL, ROOT, Mistake, copy_project, findings, line_of, mistakes, put
from mlops.azure.doctor import check_project
from mlops.azure.doctor.assets import cron_problem
from mlops.azure.doctor.documents import CODES
from mlops.azure.doctor.fields import VALUES, size_problem
from mlops.cli import main
from mlops.config import load_project
from mlops.results import write_result


def doctor(root: Path, *options: str) -> Result:
    return CliRunner().invoke(main, ["--project", str(root), "doctor", *options])


def check(root: Path) -> list[str]:
    return [str(finding) for finding in check_project(load_project(root), main.commands)]


@pytest.mark.parametrize("mistake", mistakes(), ids=lambda mistake: f"{mistake.file}: {mistake.title}")
def test_a_mistake_leads_to_its_findings_and_no_others(mistake: Mistake, tmp_path: Path) -> None:
    found = findings(mistake, tmp_path)
    file = tmp_path / "project" / "azureml" / mistake.file
    at = mistake.change.field if mistake.at is None else mistake.at
    expected = [(mistake.code, at), *mistake.also]
    assert sorted((finding.code, finding.line) for finding in found) == sorted(
        (code, line_of(file, field)) for code, field in expected
    ), "\n".join(map(str, found))
    assert any(mistake.says in str(finding) for finding in found if finding.code == mistake.code)


def test_a_sweep_maximizes_what_trials_log() -> None:
    from mlops.model.search import METRIC

    (allowed,) = (row[1] for row in VALUES if row[0].endswith("primary_metric"))
    assert allowed.allows(METRIC)


def test_every_code_has_a_mistake() -> None:
    online = {code for code in CODES if code.startswith(("AZ09", "AZ1"))}
    assert {mistake.code for mistake in ALL} == set(CODES) - online


def test_this_project_has_no_problems(monkeypatch: pytest.MonkeyPatch) -> None:
    def refuse(self: socket.socket, address: object) -> None:
        raise AssertionError(f"{address} was contacted")

    monkeypatch.setattr(socket.socket, "connect", refuse)
    result = doctor(ROOT, "--offline")
    assert result.exit_code == 0, result.output
    assert result.output == "No problems in azureml/ and project.yml.\n"


def test_findings_are_listed_one_per_line_and_errors_fail(tmp_path: Path) -> None:
    root = copy_project(tmp_path)
    compute, schedule = root / "azureml" / "compute.yml", root / "azureml" / "schedule.yml"
    put("size", "Standard_DS3v2").edit(compute)
    put("trigger.expression", "0 4 1 * *").edit(schedule)
    result = doctor(root, "--offline")
    assert result.exit_code == 1
    assert result.output.splitlines() == [
        f"AZ070 warning azureml/compute.yml:{line_of(compute, 'size')} Standard_DS3v2 is not a known VM size. "
        "Fix: Did you mean Standard_DS3_v2 or Standard_D3_v2? `az vm list-sizes --location REGION` lists the sizes. "
        "docs/doctor.md#az070",
        f"AZ044 error azureml/schedule.yml:{line_of(schedule, 'trigger.expression')} The cron expression '0 4 1 * *' "
        "sets the day, which Azure ML ignores. Fix: Use minute, hour, day, month and weekday, such as '0 4 * * 1'. "
        "docs/doctor.md#az044",
        "1 error, 1 warning in azureml/ and project.yml.",
    ]


def test_warnings_alone_do_not_fail(tmp_path: Path) -> None:
    root = copy_project(tmp_path)
    put("size", "Standard_NEW_v9").edit(root / "azureml" / "compute.yml")
    put("trigger.time_zone", "Mars").edit(root / "azureml" / "schedule.yml")
    put("azure.region", "moonnorth").edit(root / "project.yml")
    result = doctor(root, "--offline")
    assert (result.exit_code, result.output.count(" warning ")) == (0, 3)
    assert result.output.endswith("\n3 warnings in azureml/ and project.yml.\n")


def test_ignored_codes_are_left_out(tmp_path: Path) -> None:
    root = copy_project(tmp_path)
    put("trigger.expression", "0 4 1 * *").edit(root / "azureml" / "schedule.yml")
    put("min_instances", 9).edit(root / "azureml" / "compute.yml")
    put("tier", "spot").edit(root / "azureml" / "compute.yml")
    put("doctor.ignore", ["AZ044"]).edit(root / "project.yml")
    result = doctor(root, "--offline", "--ignore", "AZ007", "--ignore", "AZ004")
    assert (result.exit_code, result.output) == (0, "No problems in azureml/ and project.yml.\n")
    assert "2 errors in azureml/" in doctor(root, "--offline").output


@pytest.mark.parametrize(("code", "nearest"), [("AZ04", "AZ04"), ("az044", "AZ044"), ("AZO70", "AZ070"), ("x", "AZ")])
def test_an_unknown_code_to_ignore_is_refused_with_the_nearest(code: str, nearest: str, tmp_path: Path) -> None:
    result = doctor(ROOT, "--offline", "--ignore", code)
    assert result.exit_code == 2
    assert f"--ignore: {code} is not a code of `mlops doctor`." in result.output
    assert f"Did you mean {nearest}" in result.output
    root = copy_project(tmp_path)
    put("doctor.ignore", [code]).edit(root / "project.yml")
    assert f"doctor.ignore: {code} is not a code" in doctor(root, "--offline").output


def test_a_missing_subscription_is_an_error(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delenv("AZURE_SUBSCRIPTION_ID", raising=False)
    result = doctor(ROOT)
    assert result.exit_code == 2
    assert "AZURE_SUBSCRIPTION_ID is not set" in result.output


def test_a_project_without_azureml_is_refused(tmp_path: Path) -> None:
    root = copy_project(tmp_path)
    shutil.rmtree(root / "azureml")
    result = doctor(root, "--offline")
    assert result.exit_code == 2
    assert f"{root / 'azureml'} has no files." in result.output


def test_a_file_excluded_by_amlignore_is_not_uploaded(tmp_path: Path) -> None:
    root = copy_project(tmp_path)
    ignore = root / "src" / ".amlignore"
    ignore.write_text(ignore.read_text("utf-8") + "score.py\n", "utf-8")
    found = check(root)
    deployments = (root / "azureml").glob("*/deployment.yml")
    scripts = [file for file in deployments if "scoring_script" in file.read_text("utf-8")]
    assert len(found) == len(scripts) > 0
    assert all(
        line.startswith("AZ009 error") and "score.py is not in the uploaded folder src/." in line for line in found
    )


def test_data_can_be_a_folder(tmp_path: Path) -> None:
    root = copy_project(tmp_path)
    data = load_project(root).data_path
    data.unlink() if data.is_file() else shutil.rmtree(data)
    data.mkdir()
    path = data.relative_to(root).as_posix()
    (found,) = check(root)
    assert found.startswith("AZ040 error azureml/data.yml:")
    assert f"../{path} is a folder, but type is uri_file. Fix: Use type: uri_folder." in found
    put("type", "uri_folder").edit(root / "azureml" / "data.yml")
    assert check(root) == []


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
def test_an_unknown_size_is_reported_with_the_nearest(size: str, near: str) -> None:
    problem = size_problem(size)
    assert problem is not None
    assert problem[1].startswith("Did you mean ")
    assert near in problem[1].partition("?")[0]


def test_the_gate_is_checked_on_the_last_evaluation(tmp_path: Path) -> None:
    root = copy_project(tmp_path)
    put("gate.thresholds", {"average_precision": 0.3}).edit(root / "project.yml")
    put("gate.slice_thresholds", {}).edit(root / "project.yml")
    assert check(root) == []
    write_result(root / "outputs" / "evaluation", make_evaluation(class_rows=(300, 700)))
    (found,) = check(root)
    line = line_of(root / "project.yml", "gate.thresholds")
    assert found.startswith(f"AZ081 warning project.yml:{line} A model that has learned nothing meets every threshold")
