"""The specs sent to Azure ML: azureml/ with the names and settings of project.yml, all valid."""

from __future__ import annotations

import re
from pathlib import Path
from typing import Any

import pytest
import yaml
from mistakes import ROOT, copy_project, put
from mlops.azure import specs
from mlops.config import Project, load_project
from mlops.errors import ConfigError
from mlops.naming import unique

SUBSCRIPTION = "00000000-0000-4000-8000-000000000001"
OWN = {name: unique(SUBSCRIPTION, "toy", name) for name in ("staging", "production")}
DIGEST = "0123456789abcdef" * 4
SEARCH = {"space": {"learning_rate": [0.1, 0.2], "max_iter": [5, 10, 20]}, "candidates": 4}


@pytest.fixture
def root(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """Return a copy of this project with other settings."""
    monkeypatch.setenv("AZURE_SUBSCRIPTION_ID", SUBSCRIPTION)
    made = copy_project(tmp_path)
    change(
        made,
        {
            "project": "toy",
            "azure.prefix": "toy",
            "azure.compute": {
                "size": "Standard_D4s_v5",
                "nodes": 3,
                "tier": "low_priority",
                "idle_seconds": 120,
            },
        },
    )
    return made


def change(root: Path, settings: dict[str, Any]) -> Project:
    for place, value in settings.items():
        put(place, value).edit(root / "project.yml")
    return load_project(root)


def serve(root: Path, **settings: Any) -> Project:
    """Return the project with these settings for production."""
    return change(root, {"serving.production": {"port": 5090, **settings}})


def sent(entity: Any) -> dict[str, Any]:
    """Return what would be sent to Azure, after Azure ML's own validation."""
    if hasattr(entity, "_validate"):
        result = entity._validate()
        assert result is None or (result.passed and not result._warnings), result
    for method in ("_to_rest_online_endpoint", "_to_rest_batch_endpoint"):
        if hasattr(entity, method):
            return dict(getattr(entity, method)("westeurope").as_dict())
    try:
        rest = entity._to_rest_object(location="westeurope")
    except TypeError:
        rest = entity._to_rest_object()
    return dict(rest.as_dict())


def has(file: str) -> pytest.MarkDecorator:
    """Skip a test unless this project was rendered with a file."""
    return pytest.mark.skipif(not (ROOT / "azureml" / file).exists(), reason=f"without {file}")


def test_the_image_version_is_a_hash_of_its_files(root: Path) -> None:
    project = load_project(root)
    image = "cr.azurecr.io/toy@sha256:0"
    environment = specs.environment(project, image)
    assert (environment.name, environment.version) == ("toy", specs.environment_version(project))
    assert specs.environment_reference(project) == f"azureml:toy:{environment.version}"
    properties = sent(environment)["properties"]
    assert (properties["image"], properties.get("build")) == (image, None)
    versions = {str(environment.version)}
    for name in specs.IMAGE_FILES:
        file = root / name
        file.write_bytes(file.read_bytes().replace(b"\n", b"\r\n"))
        assert specs.environment_version(project) in versions, "line endings do not count"
        file.write_bytes(file.read_bytes() + b"# changed\n")
        versions.add(specs.environment_version(project))
    assert len(versions) == 3
    assert all(len(version) == 16 for version in versions)


def test_the_data_version_is_a_hash_of_its_content(root: Path) -> None:
    project = load_project(root)
    asset = specs.data(project, project.data_path, DIGEST)
    assert (asset.name, asset.version, asset.type) == ("toy", DIGEST[:16], "uri_file")
    assert Path(str(asset.path)) == project.data_path
    folder = root / "more"
    folder.mkdir()
    asset = specs.data(project, folder, DIGEST)
    assert (Path(str(asset.path)), asset.type) == (folder, "uri_folder")


def test_the_cluster_has_the_settings_of_project_yml(root: Path) -> None:
    properties = sent(specs.compute(load_project(root)))["properties"]["properties"]
    assert properties["vmSize"] == "Standard_D4s_v5"
    assert properties["vmPriority"] == "LowPriority"
    assert properties["scaleSettings"] == {
        "minNodeCount": 0,
        "maxNodeCount": 3,
        "nodeIdleTimeBeforeScaleDown": "PT2M",
    }


def test_the_pipeline_runs_the_verbs_on_the_data_asset(root: Path) -> None:
    project = load_project(root)
    job = specs.pipeline(project, specs.data(project, project.data_path, DIGEST))
    properties = sent(job)["properties"]
    assert properties["experimentName"] == "toy"
    assert properties["inputs"]["data"]["uri"] == f"toy:{DIGEST[:16]}"
    assert list(job.jobs) == ["validate", "train", "evaluate", "register", "report"]
    for name, step in job.jobs.items():
        assert f"python -m mlops {name}" in step.component.command
        assert step.component.environment == specs.environment_reference(project)
    assert set(properties["jobs"]["evaluate"]["inputs"]) == {"data", "earlier"}
    assert properties["jobs"]["train"]["inputs"]["origin"]["value"] == f"azureml:toy:{DIGEST[:16]}"
    assert "force_rerun" not in properties["settings"]


def test_data_in_a_folder_is_a_folder_for_every_step(root: Path) -> None:
    project = load_project(root)
    (root / "more").mkdir()
    job = specs.pipeline(project, specs.data(project, root / "more", DIGEST))
    assert sent(job)["properties"]["inputs"]["data"]["jobInputType"] == "uri_folder"
    kinds = [step.component.inputs.get("data", {}).get("type") for step in job.jobs.values()]
    assert kinds == ["uri_folder", "uri_folder", "uri_folder", None, "uri_folder"]


@pytest.mark.parametrize("name", ["replace", "accept"])
def test_the_reason_of_a_person_reaches_its_step(root: Path, name: str) -> None:
    project = load_project(root)
    asset = specs.data(project, project.data_path, DIGEST)
    job = specs.pipeline(project, asset, **{name: "The law's new: 2 % more"})
    inputs = sent(job)["properties"]["jobs"]["evaluate"]["inputs"]
    assert inputs[name]["value"] == "The law's new: 2 % more"
    assert set(inputs) == {"data", "earlier", name}
    for reason in ('say "no"', "$(reboot)", "`reboot`", "back\\slash", "two\nlines"):
        with pytest.raises(ConfigError, match="a meaning in a shell"):
            specs.pipeline(project, asset, **{name: reason})


def test_a_search_is_a_sweep_with_one_trial_per_node(root: Path) -> None:
    project = change(root, {"model.search": SEARCH})
    job = specs.pipeline(project, specs.data(project, project.data_path, DIGEST))
    step = sent(job)["properties"]["jobs"]["search"]
    assert list(job.jobs)[:3] == ["validate", "search", "train"]
    assert step["search_space"]["candidate"] == {"type": "choice", "values": [0, 1, 2, 3]}
    assert step["limits"]["max_total_trials"] == 4
    assert step["limits"]["max_concurrent_trials"] == 3
    assert job.jobs["search"].trial.environment == specs.environment_reference(project)
    few = change(root, {"model.search": {**SEARCH, "space": {"max_iter": [5, 10]}}})
    limits = sent(specs.pipeline(few, specs.data(few, few.data_path, DIGEST)))["properties"]["jobs"]["search"]
    assert limits["limits"]["max_total_trials"] == 2


@pytest.mark.parametrize(
    ("address", "kind"),
    [
        ("azureml://datastores/workspaceblobstore/paths/credit/", "uri_folder"),
        ("azureml://datastores/workspaceblobstore/paths/credit/rows.csv", "uri_file"),
        ("abfss://rows@account.dfs.core.windows.net/credit/", "uri_folder"),
    ],
)
@pytest.mark.parametrize("search", [None, SEARCH])
def test_rows_on_azure_are_read_anew_each_time(root: Path, address: str, kind: str, search: Any) -> None:
    """Neither a version of an asset, which would stay the same, nor steps whose results Azure ML would use again."""
    project = change(root, {"azure.data": address, "model.search": search})
    schedule = specs.schedule(project)
    content = yaml.safe_load((root / "azureml" / "schedule.yml").read_text("utf-8"))
    assert schedule.name == "toy-retrain"
    properties = sent(schedule)["properties"]
    assert properties["trigger"]["expression"] == content["trigger"]["expression"]
    submitted = sent(specs.pipeline(project, None))["properties"]
    for definition in (properties["action"]["jobDefinition"], submitted):
        assert definition["inputs"]["data"] == {"jobInputType": kind, "uri": address}
        assert definition["settings"]["force_rerun"] is True
        assert definition["jobs"]["train"]["inputs"]["origin"]["value"] == address


def test_a_schedule_without_rows_on_azure_is_refused(root: Path) -> None:
    with pytest.raises(ConfigError, match=r"azure\.data is not set"):
        specs.schedule(load_project(root))


@pytest.mark.parametrize(
    "address", ["rows.csv", "azureml:rows@latest", "s3://rows", 'azureml://datastores/a/"b', "https://"]
)
def test_an_address_that_jobs_cannot_read_is_refused(root: Path, address: str) -> None:
    with pytest.raises(ConfigError, match=r"azure\.data = .*azureml://datastores/"):
        change(root, {"azure.data": address})


@has("managed")
def test_a_managed_endpoint_serves_exactly_one_version(root: Path) -> None:
    project = serve(root, target="managed", instance_type="Standard_F4s_v2", instances=2, timeout_s=3)
    endpoint = sent(specs.endpoint(project, "production"))
    assert endpoint["properties"]["authMode"] == "AADToken"
    assert specs.endpoint(project, "production").name == f"toy-production-{OWN['production']}"
    deployment = specs.deployment(project, "production", "green", 3, DIGEST)
    rest = sent(deployment)
    assert (deployment.name, deployment.endpoint_name) == ("green", f"toy-production-{OWN['production']}")
    assert rest["properties"]["model"] == "toy:3"
    assert rest["properties"]["instanceType"] == "Standard_F4s_v2"
    assert rest["properties"]["requestSettings"]["requestTimeout"] == "PT3S"
    assert rest["sku"]["capacity"] == 2
    assert rest["tags"]["mlops.version"] == "3"
    assert rest["tags"]["mlops.model_digest"] == DIGEST
    assert ("dataCollector" in rest["properties"]) == specs.is_monitored(project)


@has("kubernetes")
def test_a_kubernetes_endpoint_runs_in_the_cluster(root: Path) -> None:
    project = serve(root, target="kubernetes", cpu=0.5, memory_gb=4)
    endpoint = sent(specs.endpoint(project, "production"))
    assert endpoint["properties"]["authMode"] == "AMLToken"
    assert str(endpoint["properties"]["compute"]).endswith("aks")
    rest = sent(specs.deployment(project, "production", "blue", 3, DIGEST))
    assert rest["properties"]["instanceType"] == "defaultinstancetype"
    resources = rest["properties"]["containerResourceRequirements"]
    assert resources["containerResourceRequests"] == {"cpu": "0.5", "memory": "4Gi"}
    assert resources["containerResourceLimits"] == {"cpu": "0.5", "memory": "4Gi"}


@has("managed")
@pytest.mark.parametrize("network", ["public", "private"])
def test_a_managed_endpoint_answers_where_the_network_is(root: Path, network: str) -> None:
    file = root / "project.yml"
    content = yaml.safe_load(file.read_text("utf-8"))
    content["azure"]["network"] = network
    file.write_text(yaml.safe_dump(content), "utf-8")
    endpoint = sent(specs.endpoint(load_project(root), "production"))
    access = endpoint["properties"].get("publicNetworkAccess") or "Enabled"  # Azure's default
    assert access.lower() == {"public": "enabled", "private": "disabled"}[network]


@pytest.mark.parametrize("target", ["local", "container-instance"])
def test_a_target_outside_azure_ml_has_no_endpoint(root: Path, target: str) -> None:
    project = serve(root, target=target)
    with pytest.raises(ConfigError, match=rf"serving\.production\.target is {target}"):
        specs.endpoint(project, "production")


def test_a_target_of_another_render_is_refused(root: Path) -> None:
    target = "kubernetes" if (ROOT / "azureml" / "managed").exists() else "managed"
    project = serve(root, target=target)
    with pytest.raises(ConfigError, match=rf"azureml/{target}/endpoint\.yml does not exist"):
        specs.endpoint(project, "production")


@has("batch")
def test_batch_scoring_loads_one_version_on_the_cluster(root: Path) -> None:
    project = load_project(root)
    endpoint = specs.batch_endpoint(project, "staging")
    assert endpoint.name == f"toy-{OWN['staging']}-batch"
    sent(endpoint)
    component = specs.batch_component(project, 3, DIGEST)
    deployment = specs.batch_deployment(project, "staging", 3, DIGEST, component)
    assert deployment.component == f"toy_score:{component.version}"
    assert deployment.name == f"v{component.version}"
    rest = sent(deployment)
    assert rest["properties"]["deploymentConfiguration"]["settings"] == {"default_compute": "cpu-cluster"}
    assert rest["tags"]["mlops.version"] == "3"
    assert component.name == "toy_score"
    step = component.jobs["score"]
    assert step.inputs["model"].path == "toy:3"
    assert step.inputs["digest"]._data == DIGEST
    assert step.component.environment == specs.environment_reference(project)
    assert step.component.is_deterministic is False


@has("batch")
@pytest.mark.parametrize(
    "file", ["src/mlops/serving/batch.py", "project.yml", "requirements.txt", "azureml/batch/score.yml"]
)
def test_a_batch_deployment_has_another_name_with_other_code_or_image(root: Path, file: str) -> None:
    def name(digest: str) -> str:
        project = load_project(root)
        component = specs.batch_component(project, 3, digest)
        return str(specs.batch_deployment(project, "staging", 3, digest, component).name)

    names = [name(DIGEST), name(DIGEST[::-1])]
    with (root / file).open("a", encoding="utf-8") as stream:
        stream.write("\n# changed\n")
    names.append(name(DIGEST))
    assert len(set(names)) == 3
    assert all(re.fullmatch(r"v3-[0-9a-f]{16}", found) for found in names)


@has("monitoring.yml")
def test_the_monitor_watches_the_given_slot(root: Path) -> None:
    monitor: Any = specs.monitor(load_project(root), "production", "green")
    assert monitor.name == "toy-production-monitor"
    definition = monitor._to_rest_object().as_dict()["properties"]["action"]["monitorDefinition"]
    assert definition["monitoringTarget"]["deploymentId"] == f"azureml:toy-production-{OWN['production']}:green"
    assert {signal["signalType"] for signal in definition["signals"].values()} == {
        "DataDrift",
        "DataQuality",
        "PredictionDrift",
    }
