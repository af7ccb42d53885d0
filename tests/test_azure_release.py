"""The whole story on Azure ML: from rows to production, step by step and in this order."""

import json
import re
import shutil
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any

import pytest
from azure_project import ADDRESS, MODEL, PREFIX, Lab, azure_lab, configure, name_of
from rendering import Render
from warm_mlops import warm_mlops

WORKSPACE = rf"/workspaces/mlw-{PREFIX}-(?P<where>staging|production)"
ENDPOINT = rf"{WORKSPACE}/onlineEndpoints/{PREFIX}-(?:staging|production)-\w{{6}}"
REGISTRY = rf"/resourceGroups/rg-{PREFIX}-(?P<where>staging|production)/.*/registries/\w+"
GROUP = rf"/containerGroups/ci-{PREFIX}-(?P<where>staging)-(?P<slot>\w+)"
# The meaning of a recorded call, by method and path.
MEANINGS = {
    rf"GET .*{WORKSPACE}": "{where}: the workspace exists",
    rf"PUT .*{WORKSPACE}/jobs/[^/]+": "{where}: a pipeline is submitted",
    rf"POST .*{WORKSPACE}/.*/model-versions/create": "{where}: a version is registered",
    rf"PUT .*{WORKSPACE}/models/[^/]+/versions/(?P<number>\d+)": "{where}: version {number} is tagged {stage}",
    rf"PUT .*{ENDPOINT}/deployments/(?P<slot>\w+)": "{where}: version {version} goes to the {slot} slot",
    rf"PUT .*{ENDPOINT}": "{where}: {traffic}",
    rf"POST /inference/{PREFIX}-(?P<where>[a-z]+)-\w{{6}}/score": "{where}: rows are scored",
    rf"DELETE .*{ENDPOINT}/deployments/(?P<slot>\w+)": "{where}: the {slot} slot is removed",
    rf"PUT .*{WORKSPACE}/batchEndpoints/[^/]+/deployments/[\w-]+": "{where}: the batch endpoint scores with {tagged}",
    rf"PUT .*{WORKSPACE}/schedules/(?P<name>[^/]+)": "{where}: the schedule {name} is on",
    rf"POST .*{REGISTRY}/scheduleRun": "{where}: {built} is built",
    rf"POST .*{REGISTRY}/importImage": "{where}: the image of jobs and endpoints is copied",
    rf"PUT .*{GROUP}": "{where}: the {slot} container group is started",
    rf"DELETE .*{GROUP}": "{where}: the {slot} container group is removed",
    rf"PATCH .*{GROUP}": "{where}: the {slot} container group {turned}",
}
ONCE = "the workspace exists"  # the SDK checks it before each change


def story(calls: list[dict[str, Any]]) -> list[str]:
    """Return the meaning of successful calls as sentences, without repetitions."""
    sentences: list[str] = []
    for call in calls:
        for pattern, meaning in MEANINGS.items():
            found = re.fullmatch(pattern, told(call))
            if found and call["status"] in (0, 200, 201, 202, 204):
                sentence = meaning.format(**{**details(call), **found.groupdict()})
                if sentence not in (sentences if sentence.endswith(ONCE) else sentences[-1:]):
                    sentences.append(sentence)
                break
    return sentences


def told(call: dict[str, Any]) -> str:
    return f"{call['method']} {call['path']}"


def details(call: dict[str, Any]) -> dict[str, str]:
    """Return the content of a call: traffic, a model's version, a stage."""
    whole = call["body"] or {}
    body, label = whole.get("properties") or {}, whole.get("tags") or {}
    name = (whole.get("imageNames") or [""])[0].removeprefix(f"{MODEL}-server:")
    traffic = [f"{percent} % to {slot}" for slot, percent in sorted((body.get("traffic") or {}).items())]
    model = body.get("model") or ""
    return {
        "traffic": ", ".join(traffic) or "no traffic yet",
        "stage": str((body.get("tags") or {}).get("mlops.stage")),
        "tagged": f"version {label.get('mlops.version')}",
        "turned": "has a pending release" if label.get("mlops.release") else "is live",
        "built": "the image of jobs and endpoints" if ":" in name else f"the image of version {name.partition('-')[0]}",
        "version": str(model["assetId"] if isinstance(model, dict) else model).rsplit("/", 1)[-1],
    }


@pytest.fixture(scope="module")
def managed(render: Render, project_python: Path, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Lab]:
    """A project with managed endpoints, and version 1 in production."""

    def change(content: dict[str, Any]) -> None:
        content["serving"]["production"] |= {"steps": [10, 50, 100], "mirror": 20, "max_instances": 3}

    with azure_lab(render({}), project_python, tmp_path_factory.mktemp("managed"), change) as lab:
        lab.seed(1, stage="registered")
        lab.mlops("release", "--version", "1", "--on", "azureml", "--yes")
        yield lab


def test_a_model_goes_from_rows_to_production_and_back(managed: Lab) -> None:
    mlops, azure, outputs = managed.mlops, managed.azure, managed.mlops.root / "outputs"
    before = len(azure.calls())

    submitted = mlops("run", "--on", "azureml", "--no-wait", "--replace-champion", "the sample is small")
    assert "https://ml.azure.com/runs/" in submitted.text
    job = submitted.last_line.removeprefix("job=")
    assert not managed.follow(job, minutes=0)  # it still runs then
    ran = mlops("run", "--on", "azureml", "--job", job)
    assert "champion_replaced" in ran.text
    assert ran.last_line == "registered=2"
    assert json.loads((outputs / "registration" / "registration.json").read_text("utf-8"))["version"] == 2
    assert "<html" in (outputs / "report" / "report.html").read_text("utf-8")
    assert managed.tags("staging", 2)["mlops.stage"] == "registered"
    assert story(azure.calls()[before:]) == [
        "staging: the workspace exists",
        "staging: a pipeline is submitted",
        "staging: a version is registered",
    ]

    # The rows are known again by the record in the champion's run, although the columns are turned around.
    header, *rows = (mlops.root / "data" / "credit.csv").read_text("utf-8").splitlines()
    turned = "".join(",".join(reversed(row.split(","))) + "\n" for row in (header, *rows))
    (mlops.root / "turned.csv").write_text(turned, "utf-8")
    mlops("run", "--on", "azureml", "--data", "turned.csv", code=3)
    evaluation = json.loads((outputs / "evaluation" / "evaluation.json").read_text("utf-8"))
    assert evaluation["comparison"] == {"how": "registered", "why": "", "seen": 0}
    assert evaluation["champion"] == 2
    assert {shift["distance"] for shift in evaluation["shifts"]} == {0}
    before = len(azure.calls())

    mlops("release", "--on", "azureml", "--yes")
    assert story(azure.calls()[before:]) == [
        "staging: the workspace exists",
        "production: the workspace exists",
        "staging: 100 % to blue",  # the note of the release
        "staging: version 2 goes to the green slot",
        "staging: rows are scored",
        "staging: 100 % to green",
        "staging: rows are scored",
        "staging: version 2 is tagged staging",  # and in its history
        "staging: version 1 is tagged production",  # the history's second record
        "staging: the blue slot is removed",
        "staging: 100 % to green",  # without the note
        "staging: the batch endpoint scores with version 2",
        "production: version 2 is tagged staging",  # the copy, with its tags
        "production: 100 % to blue",
        "production: version 2 goes to the green slot",
        "production: rows are scored",
        "production: 100 % to blue",  # and a fifth mirrored to green
        "production: rows are scored",
        "production: 90 % to blue, 10 % to green",
        "production: rows are scored",
        "production: 50 % to blue, 50 % to green",
        "production: rows are scored",
        "production: 100 % to green",
        "production: rows are scored",
        "production: version 2 is tagged staging",  # and what it replaces
        "production: version 2 is tagged production",
        "production: version 1 is tagged retired",
        "staging: version 1 is tagged retired",
        "staging: version 2 is tagged production",
        "production: version 2 is tagged production",  # in its history
        "production: version 1 is tagged retired",  # the history's second record
        "production: the blue slot is removed",
        "production: 100 % to green",
        "production: the batch endpoint scores with version 2",
        "production: the schedule credit-risk-production-monitor is on",
    ]
    assert managed.served("production") == {2}
    deployments = [path for path in managed.resources() if "/batchendpoints/" in path and "/deployments/" in path]
    assert [path.rpartition("/")[2].partition("-")[0] for path in deployments] == ["v2", "v2"]  # and no other version
    assert managed.stages(1) == ("retired", "retired")
    assert managed.stages(2) == ("production", "production")
    digest = "mlops.model_digest"
    assert managed.tags("production", 2)[digest] == managed.tags("staging", 2)[digest]
    assert "production" in mlops("status", "--on", "azureml").text

    assert "Production is back at version 1." in mlops("rollback", "--on", "azureml").text
    assert managed.served("production") == {1}
    assert managed.stages(1) == ("production", "production")
    assert managed.stages(2) == ("withdrawn", "withdrawn")
    assert "withdrawn" in mlops("deploy", "production", "--version", "2", "--on", "azureml", "--yes", code=1).text


def test_a_slot_scales_with_its_load_and_its_successor_starts_as_large(managed: Lab) -> None:
    def scaled() -> dict[str, str]:
        kept = managed.stored().items()
        settings = {path: one["properties"] for path, one in kept if "/autoscalesettings/" in path}
        assert {path.rpartition("-")[2] for path in settings} == {
            one["targetResourceUri"].rpartition("/")[2] for one in settings.values()
        }
        return {path.rpartition("-")[2]: one["profiles"][0]["capacity"]["maximum"] for path, one in settings.items()}

    ((live, most),) = scaled().items()
    assert most == "3"
    managed.scale("production", live, 2)
    managed.mlops("deploy", "staging", "--version", "1", "--on", "azureml")
    managed.seed(4)
    managed.mlops("deploy", "production", "--version", "4", "--on", "azureml", "--yes")
    ((successor, _),) = scaled().items()
    assert successor != live
    assert managed.instances("production", successor) == 2
    managed.mlops("deploy", "production", "--version", "1", "--on", "azureml", "--yes")


def test_a_model_refused_by_the_gate_is_not_registered(managed: Lab) -> None:
    said = managed.mlops("run", "--on", "azureml", code=3)  # the champion has no run to load it from
    assert said.last_line == "registered=none reason=champion_unavailable"
    assert not (managed.mlops.root / "outputs" / "registration").exists()
    assert "<html" in (managed.mlops.root / "outputs" / "report" / "report.html").read_text("utf-8")


def test_files_changed_in_staging_are_not_copied_to_production(managed: Lab) -> None:
    managed.seed(7)
    storage = managed.azure.folder / "storage"
    changed = [
        file for file in storage.rglob("MLmodel") if "staging" in file.as_posix() and "LocalUpload" in file.parts
    ]
    texts = {file: file.read_text("utf-8") for file in changed}
    for file, text in texts.items():
        file.write_text(text + "\n", "utf-8")
    deploy = ("deploy", "production", "--version", "7", "--on", "azureml", "--yes")
    said = managed.mlops(*deploy, code=1).text
    for file, text in texts.items():
        file.write_text(text, "utf-8")
    assert "were changed after registration" in said
    assert "/mlw-creditrisk-production/models/credit-risk/versions/7" not in managed.resources()


def test_a_number_of_another_model_in_production_is_refused(managed: Lab) -> None:
    managed.seed(8)
    managed.seed(8, where="production", extra="another")
    said = managed.mlops("deploy", "production", "--version", "8", "--on", "azureml", "--yes", code=1).text
    assert "credit-risk 8 in production's workspace is another model." in said


def test_a_second_release_of_the_same_version_changes_nothing(managed: Lab) -> None:
    managed.mlops("deploy", "production", "--version", "1", "--on", "azureml", "--yes")
    before = managed.resources()
    said = managed.mlops("deploy", "production", "--version", "1", "--on", "azureml", "--yes")
    assert "already live" in said.text
    assert managed.resources() == before


def test_a_busy_endpoint_is_not_taken_for_a_broken_model(managed: Lab) -> None:
    """Azure answers 429 where clients send more at once than the instances take."""
    score = rf"POST /inference/{name_of('endpoint', 'production')}/score"
    managed.azure.plant("throttled", score, count=4, seconds=1)
    managed.mlops("deploy", "production", "--version", "1", "--on", "azureml", "--yes")
    assert managed.azure.faults_left() == []


def test_production_runs_the_very_image_that_staging_tested(managed: Lab) -> None:
    mlops, azure = managed.mlops, managed.azure
    file = mlops.root / "requirements.txt"
    text = file.read_text("utf-8")
    try:
        file.write_text(f"{text}# another image\n", "utf-8")
        deploy = ("--version", "1", "--on", "azureml")
        said = mlops("deploy", "production", *deploy, "--yes", code=1).text
        assert "Staging has not tested the image of this requirements.txt and Dockerfile." in said
        azure.plant("provisioning-fails", "POST .*/scheduleRun", message="ERROR: No matching distribution found")
        said = mlops("deploy", "staging", *deploy, code=1).text
        assert "Failed. The log says: failed to build: ERROR: No matching distribution found" in said
        workspace = f"/resourceGroups/rg-{PREFIX}-staging/providers/Microsoft.MachineLearningServices/workspaces"
        workspace = f"{workspace}/mlw-{PREFIX}-staging"
        known = managed.resources()[f"/mlw-{PREFIX}-staging"]
        azure.put({workspace: {**known, "containerRegistry": None}})
        said = mlops("deploy", "staging", *deploy, code=1).text
        assert f"The workspace mlw-{PREFIX}-staging has no container registry." in said
        assert "--container-registry ID" in said
        azure.put({workspace: known})
        azure.plant("tasks-not-allowed", "POST .*/scheduleRun")
        assert "Free and student subscriptions cannot build" in mlops("deploy", "staging", *deploy, code=1).text
        before = len(azure.calls())
        mlops("deploy", "staging", *deploy)
        mlops("deploy", "production", *deploy, "--yes")
        made = [sentence for sentence in story(azure.calls()[before:]) if "image" in sentence]
        assert made == [
            "staging: the image of jobs and endpoints is built",
            "production: the image of jobs and endpoints is copied",
        ]
    finally:
        file.write_text(text, "utf-8")
    images = {
        path.partition("/environments/")[::2]: properties["image"].partition("@")
        for path, properties in managed.resources().items()
        if "/environments/" in path
    }
    assert len(images) == 4
    for (workspace, version), (name, _, digest) in images.items():
        environment = workspace.rpartition("-")[2]
        assert name == f"{name_of('registry', environment)}.azurecr.io/{MODEL}"
        assert digest == images[f"/mlw-{PREFIX}-staging", version][2]


def test_invalid_rows_stop_the_pipeline_and_are_reported(managed: Lab) -> None:
    bad = managed.mlops.root / "bad.csv"
    good = (managed.mlops.root / "data" / "credit.csv").read_text("utf-8")
    bad.write_text(good.replace("rent", "castle"), encoding="utf-8")
    said = managed.mlops("run", "--on", "azureml", "--data", str(bad), code=1).text
    assert "failed in the step validate: Error: The data fails" in said
    assert "https://ml.azure.com/runs/" in said


def test_files_are_scored_by_the_version_in_production(managed: Lab, tmp_path: Path) -> None:
    mlops, rows = managed.mlops, tmp_path / "rows"
    rows.mkdir()
    sample = (mlops.root / "data" / "credit.csv").read_text("utf-8").splitlines(keepends=True)
    (rows / "june.csv").write_text("".join(sample[:6]), encoding="utf-8")
    (rows / "july.csv").write_text("".join(sample[:1] + sample[6:9]), encoding="utf-8")
    said = mlops("score", str(rows), "--on", "azureml", "--out", str(tmp_path / "scored")).text
    assert "https://ml.azure.com/runs/" in said
    lines = {
        file.name: [json.loads(line) for line in file.read_text("utf-8").splitlines()]
        for file in (tmp_path / "scored").iterdir()
    }
    assert {name: len(found) for name, found in lines.items()} == {"june.csv.jsonl": 5, "july.csv.jsonl": 3}
    (answer,) = managed.score("production")["predictions"]
    assert lines["june.csv.jsonl"][0] == {"row": 1, **answer}

    again = mlops("score", str(rows / "july.csv"), "--on", "azureml", "--out", str(tmp_path / "again"))
    assert again.last_line == f"Predictions: {tmp_path / 'again'}"
    assert (tmp_path / "again" / "july.csv.jsonl").read_text("utf-8").splitlines() == [
        json.dumps(line) for line in lines["july.csv.jsonl"]
    ]
    assert "nowhere does not exist" in mlops("score", "nowhere", "--on", "azureml", code=1).text
    (rows / "june.csv").write_text("x\n1\n", encoding="utf-8")
    failed = mlops("score", str(rows), "--on", "azureml", "--out", str(tmp_path / "none"), code=1).text
    assert "failed in the step score: Error: june.csv lacks columns" in failed
    assert not (tmp_path / "none").exists()


def test_the_doctor_finds_what_the_subscription_lacks(managed: Lab) -> None:
    mlops, azure = managed.mlops, managed.azure
    storage, vault = name_of("storage", "production"), name_of("key_vault", "staging")
    families = "/providers/Microsoft.MachineLearningServices/locations/westeurope/usages"
    nodes, slots = 2 * 2, 2 * 2 + 2 * 4  # in both environments; 1 and 3 instances with a fifth more, rounded up
    cores = (nodes + slots) * 4
    lacking: dict[str, dict[str, Any] | None] = {
        "": {"quotaId": "AzureForStudents_2018-01-01"},
        "/providers/Microsoft.KeyVault": {"registrationState": "NotRegistered"},
        f"/resourceGroups/rg-elsewhere/providers/Microsoft.Storage/storageAccounts/{storage}": {},
        f"/providers/Microsoft.KeyVault/locations/westeurope/deletedVaults/{vault}": {},
        f"{families}/standardDSv2Family": {"limit": cores - 1},
    }
    azure.put(lacking)
    said = mlops("doctor", code=1).text
    found = re.findall(r"^(AZ09\d) (\w+) project\.yml:\d+ (.*?) Fix: ", said, re.MULTILINE)
    assert found == [
        ("AZ095", "error", "The subscription's offer AzureForStudents_2018-01-01 does not build images in a registry."),
        ("AZ093", "warning", "The provider Microsoft.KeyVault is not registered in the subscription."),
        ("AZ090", "error", found[2][2]),
        ("AZ091", "error", f"The vault {vault} was deleted and can still be recovered."),
        ("AZ090", "error", found[4][2]),
        ("AZ092", "error", f"project.yml needs up to {cores} cores of standarddsv2family; the quota is {cores - 1}."),
    ]
    assert found[2][2].startswith(f"The name {vault} of staging's vaults is not available: ")
    assert found[4][2].startswith(f"The name {storage} of production's storageAccounts is not available: ")
    ignored = [word for code in ("AZ090", "AZ091", "AZ092", "AZ095") for word in ("--ignore", code)]
    assert "AZ093" in mlops("doctor", *ignored).text
    azure.put(dict.fromkeys(path for path in lacking if path))
    azure.put({"": {"quotaId": "PayAsYouGo_2014-09-01"}, f"{families}/standardDSv2Family": {"limit": cores}})
    assert "AZ09" not in mlops("doctor").text


def test_the_doctor_prints_the_names_that_nobody_else_may_have(managed: Lab) -> None:
    said = managed.mlops("doctor").text
    for environment in ("staging", "production"):
        assert f"{environment.capitalize()}: workspace mlw-{PREFIX}-{environment} exists." in said
        for resource in ("storage", "key_vault", "registry", "state_storage", "endpoint", "batch_endpoint"):
            assert f" {name_of(resource, environment)}" in said
    served = [path.rpartition("/")[2] for path in managed.resources() if re.search(r"/onlineendpoints/[^/]+$", path)]
    assert sorted(served) == [name_of("endpoint", "production"), name_of("endpoint", "staging")]


def test_a_schedule_trains_on_the_rows_of_its_time(managed: Lab) -> None:
    mlops, root = managed.mlops, managed.mlops.root
    text = (root / "project.yml").read_text("utf-8")
    before = len(managed.azure.calls())
    assert "azure.data is not set" in mlops("run", "--on", "azureml", "--schedule", code=2).text
    assert story(managed.azure.calls()[before:]) == ["staging: the workspace exists"]
    configure(root, lambda content: content["azure"].update(data=ADDRESS))
    try:
        said = mlops("run", "--on", "azureml", code=1).text
        assert "in the step validate: Error Code: ScriptExecution.StreamAccess.NotFound" in said
        managed.add_rows("january.csv", 0, 1000)
        assert "credit-risk-retrain" in mlops("run", "--on", "azureml", "--schedule").text
        assert "staging: the schedule credit-risk-retrain is on" in story(managed.azure.calls()[before:])
        rows = []
        for file, last in (("february.csv", 1100), ("march.csv", 1200)):
            job = managed.trigger("credit-risk-retrain")
            mlops("run", "--on", "azureml", "--job", job, code=3)  # the champion has no run to load it from
            rows.append(managed.training()["rows"])
            managed.add_rows(file, last - 100, last)
        mlops("run", "--on", "azureml", code=3)
        rows.append(managed.training()["rows"])
        assert managed.training()["data"] == ADDRESS
        assert ADDRESS in (root / "outputs/report/report.html").read_text("utf-8")
    finally:
        (root / "project.yml").write_text(text, "utf-8")
    assert rows == sorted(set(rows))
    assert rows[2] == pytest.approx(900, rel=0.1)


def test_equal_rows_are_not_trained_on_twice(managed: Lab) -> None:
    """Azure ML uses the results of a step with equal inputs again."""
    trained = []
    for _ in range(2):
        managed.mlops("run", "--on", "azureml", code=3)
        trained.append(managed.training())
    assert trained[0] == trained[1]
    assert trained[0]["data"] == f"azureml:credit-risk:{trained[0]['data_digest'][:16]}"


def test_a_release_says_at_each_change_that_it_still_runs(managed: Lab) -> None:
    """Otherwise another one would take it for killed after five minutes."""
    before = len(managed.azure.calls())
    managed.azure.plant("slow", r"PUT .*/deployments/\w+", seconds=2)
    managed.seed(40)
    managed.mlops("deploy", "production", "--version", "40", "--on", "azureml", "--yes")
    calls = [call for call in managed.azure.calls()[before:] if re.fullmatch(f"PUT .*{ENDPOINT}", told(call))]
    notes = [call["body"]["tags"].get("mlops.release") for call in calls]
    signed = [json.loads(note)["at"] for note in notes[:-1]]
    assert signed[0] < signed[1] <= signed[-1]
    assert notes[-1] is None


@pytest.mark.parametrize("late", [0, pytest.param(3, marks=pytest.mark.exhaustive)])
def test_releases_at_once_take_turns(managed: Lab, tmp_path: Path, late: int) -> None:
    """Two machines read an idle endpoint; one writes its note when the other is at its smoke test already."""
    numbers = [30 + late, 31 + late]
    managed.seed(*numbers)
    root = shutil.copytree(managed.mlops.root, tmp_path / "other", ignore=shutil.ignore_patterns(".mlops"))
    if late:
        name = name_of("endpoint", "production")
        managed.azure.plant("delay", rf"PUT .*/onlineEndpoints/{name}", seconds=late)
        managed.azure.plant("delay", rf"POST /inference/{name}/score", seconds=2 * late)
    with warm_mlops(managed.python, root, managed.azure.environment) as other, ThreadPoolExecutor() as pool:
        other("status", "--on", "azureml")
        releases = [
            pool.submit(mlops, "deploy", "production", "--version", str(number), "--on", "azureml", "--yes")
            for mlops, number in zip((managed.mlops, other), numbers, strict=True)
        ]
        said = [release.result().text for release in releases]
    assert managed.azure.faults_left() == []
    assert ["Waiting until it has ended." in text for text in said].count(True) == 1, said
    last = next(number for number, text in zip(numbers, said, strict=True) if "Waiting" in text)
    assert managed.served("production") == {last}
    periods = json.loads(managed.mlops("history", "--on", "azureml", "--format", "json").text)["production"]["periods"]
    assert {period["version"] for period in periods[-2:]} == set(numbers)
    assert managed.pending("production") == {}


def test_missing_prerequisites_are_reported_before_any_change(managed: Lab) -> None:
    root = managed.mlops.root
    text = (root / "project.yml").read_text("utf-8")
    before = len(managed.azure.calls())
    try:
        configure(root, lambda content: content["azure"].update(prefix="elsewhere"))
        said = managed.mlops("release", "--on", "azureml", "--yes", code=1).text
        assert "rg-elsewhere-staging" in said
        assert "Terraform" in said
        (root / "project.yml").write_text(text, "utf-8")
        configure(root, lambda content: content["serving"].update(production={"target": "local", "port": 5090}))
        said = managed.mlops("release", "--on", "azureml", "--yes", code=2).text
        assert "serving.production.target is local" in said
    finally:
        (root / "project.yml").write_text(text, "utf-8")
    assert "approve with --yes" in managed.mlops("deploy", "production", "--on", "azureml", code=2).text
    assert "Add --on azureml" in managed.mlops("run", "--schedule", code=2).text
    said = managed.mlops("deploy", "staging", "--version", "99", "--on", "azureml", code=2).text
    assert "credit-risk has no version 99 (registered: " in said
    changed = [call for call in managed.azure.calls()[before:] if call["method"] in ("PUT", "DELETE", "PATCH")]
    assert changed == []


@pytest.fixture(scope="module")
def containers(render: Render, project_python: Path, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Lab]:
    """A project with container instances for staging, AKS for production, and two registered versions."""

    def change(content: dict[str, Any]) -> None:
        content["serving"]["production"]["steps"] = [50, 100]

    answers = {"serving": "aci-aks", "batch_endpoint": "no", "monitoring": "no"}
    with azure_lab(render(answers), project_python, tmp_path_factory.mktemp("containers"), change) as lab:
        lab.seed(1, 2, stage="registered")
        yield lab


def test_a_cluster_is_attached_before_the_first_release(containers: Lab) -> None:
    containers.seed(3)
    said = containers.mlops("deploy", "production", "--version", "3", "--on", "azureml", "--yes", code=1).text
    assert "No AKS cluster is attached to the workspace as aks." in said
    assert "`terraform -chdir=infra output -raw attach`" in said
    containers.attach_cluster()


def test_a_version_goes_from_container_instances_to_kubernetes(containers: Lab) -> None:
    mlops, azure = containers.mlops, containers.azure
    before = len(azure.calls())
    mlops("release", "--version", "1", "--on", "azureml", "--yes")
    assert story(azure.calls()[before:]) == [
        "staging: the workspace exists",
        "production: the workspace exists",
        "staging: the image of version 1 is built",
        "staging: the blue container group is started",
        "staging: the blue container group is live",
        "staging: version 1 is tagged staging",
        "production: version 1 is tagged staging",
        "production: no traffic yet",
        "production: version 1 goes to the blue slot",
        "production: rows are scored",
        "production: 100 % to blue",
        "production: rows are scored",
        "production: version 1 is tagged production",
        "staging: version 1 is tagged production",
        "production: version 1 is tagged production",  # in its history
        "production: 100 % to blue",
    ]
    before = len(azure.calls())
    mlops("release", "--version", "2", "--on", "azureml", "--yes")
    assert story(azure.calls()[before:]) == [
        "staging: the workspace exists",
        "production: the workspace exists",
        "staging: the image of version 2 is built",
        "staging: the blue container group has a pending release",
        "staging: the green container group is started",
        "staging: the blue container group has a pending release",  # still
        "staging: the green container group is live",
        "staging: version 2 is tagged staging",  # and in its history
        "staging: version 1 is tagged production",  # the history's second record
        "staging: the blue container group is removed",
        "production: version 2 is tagged staging",
        "production: 100 % to blue",
        "production: version 2 goes to the green slot",
        "production: rows are scored",
        "production: 50 % to blue, 50 % to green",
        "production: rows are scored",
        "production: 100 % to green",
        "production: rows are scored",
        "production: version 2 is tagged staging",
        "production: version 2 is tagged production",
        "production: version 1 is tagged retired",
        "staging: version 1 is tagged retired",
        "staging: version 2 is tagged production",
        "production: version 2 is tagged production",  # in its history
        "production: version 1 is tagged retired",  # the history's second record
        "production: the blue slot is removed",
        "production: 100 % to green",
    ]
    calls = [call for call in azure.calls() if call["method"] == "PUT" and re.search(GROUP, call["path"])]
    created = [call["body"]["properties"] for call in calls]
    assert len(created) == 2
    for properties in created:
        assert properties["ipAddress"]["type"] == "Private"
        assert [subnet["id"].rpartition("/")[2] for subnet in properties["subnetIds"]] == ["snet-aci"]
    assert containers.stages(2) == ("production", "production")


def test_a_container_that_fails_to_start_leaves_the_live_one(containers: Lab) -> None:
    mlops = containers.mlops
    mlops("deploy", "staging", "--version", "2", "--on", "azureml")
    script = mlops.root / "src" / "mlops" / "serving" / "score.py"
    text = script.read_text("utf-8")
    try:
        script.write_text(text + "\nraise MemoryError('no room for the model')\n", "utf-8")
        said = mlops("deploy", "staging", "--version", "1", "--on", "azureml", code=1).text
    finally:
        script.write_text(text, "utf-8")
    assert "MemoryError: no room for the model" in said
    assert "Staging still serves version 2." in said
    status = mlops("status", "--on", "azureml").text
    assert re.findall(r"^staging\s+(?:blue|green)\s+(\d+)\s+(\d+) %\s+(\w+)", status, re.MULTILINE) == [
        ("2", "100", "healthy")
    ]
    mlops("deploy", "staging", "--version", "1", "--on", "azureml")


def test_a_role_that_takes_effect_late_is_waited_for(containers: Lab) -> None:
    """The identity of a new endpoint on AKS may pull images only after a while (azure-sdk-for-python#33611)."""
    reason = (
        "DeploymentIdentityError: Failed to create Kubernetes deployment identity, Reason:ACRTokenExchangeForbidden "
        "Details:Cluster exchange ACR token failed because AAD token is unauthorized. The role assignment takes some "
        "time, please wait a moment and try again."
    )
    deployment = rf"PUT .*/onlineEndpoints/{name_of('endpoint', 'production')}/deployments/\w+"
    containers.azure.plant("provisioning-fails", deployment, count=2, message=reason)
    containers.mlops("deploy", "production", "--version", "1", "--on", "azureml", "--yes")
    assert containers.azure.faults_left() == []
    assert containers.stages(1) == ("production", "production")
