"""The rendered Azure Pipelines: their shape, and what they do, green and red, with stand-ins for the programs."""

import json
import re
import subprocess
import sys
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pytest
import yaml
from pipelines.agent import Cancel, World
from pipelines.checks import problems
from pipelines.model import Job, Pipeline, read
from pipelines.run import Run, run
from pipelines.shims import Shims, make_shims
from pipelines.templates import expand
from rendering import ROOT, git

PROJECT = ROOT / "{{cookiecutter.project_slug}}"
FOLDER = PROJECT / "azure-pipelines"
NAMES = sorted(path.stem for path in FOLDER.glob("*.yml"))
# What a person may choose, where it changes the pipeline's shape.
CHOICES: dict[str, list[dict[str, str]]] = {"release": [{"version": "7"}], "train": [{"job": "calm_tree_1"}]}
SHAPES = [(name, choice) for name in NAMES for choice in ({}, *CHOICES.get(name, []))]


def load(name: str, parameters: Mapping[str, str] | None = None) -> Pipeline:
    return read(expand(PROJECT, f"azure-pipelines/{name}.yml", parameters))


@pytest.mark.parametrize(("name", "parameters"), SHAPES)
def test_a_pipeline_is_valid_after_its_templates_are_expanded(
    name: str, parameters: dict[str, str], tmp_path: Path
) -> None:
    pipeline = load(name, parameters)
    assert problems(pipeline) == []
    file = tmp_path / "expanded.json"
    file.write_text(json.dumps(pipeline.content), "utf-8")
    schema = "--builtin-schema vendor.azure-pipelines --regex-variant nonunicode".split()
    command = [str(Path(sys.executable).parent / "check-jsonschema"), *schema, str(file)]
    done = subprocess.run(command, capture_output=True, encoding="utf-8", check=False)
    assert done.returncode == 0, done.stdout


def test_every_template_is_used() -> None:
    texts = [path.read_text("utf-8") for path in FOLDER.rglob("*.yml")]
    used = {Path(name).name for text in texts for name in re.findall(r"template: (\S+)", text)}
    assert used == {path.name for path in (FOLDER / "templates").iterdir()}


@pytest.mark.parametrize("name", NAMES)
def test_every_pipeline_says_when_it_runs_and_ends(name: str) -> None:
    """Without `trigger` or `pr`, a pipeline would run for every branch or pull request."""
    pipeline = load(name)
    assert {"name", "trigger", "pr"} <= set(pipeline.content)
    assert all(0 < int(job.timeout) <= 350 for stage in pipeline.stages for job in stage.jobs)
    assert all(one["branches"] == {"include": ["main"]} for one in pipeline.content.get("schedules", []))
    assert (FOLDER / f"{name}.yml").read_text("utf-8").startswith("# ")


def test_gates_are_stages_that_take_turns() -> None:
    """Checks are asked once for each stage, so a gated job has a stage to itself, and no run overtakes another."""
    gated = {
        (name, stage.name): ([job.environment for job in stage.jobs], stage.lock)
        for name in NAMES
        for stage in load(name).stages
        if any(job.environment for job in stage.jobs)
    }
    assert gated == {
        ("infra", "apply_production"): (["production-infra"], "sequential"),
        ("infra", "apply_staging"): (["staging-infra"], "sequential"),
        ("release", "production"): (["production"], "sequential"),
        ("release", "staging"): (["staging"], "sequential"),
        ("rollback", "rollback"): (["production"], "sequential"),
        ("train", "production"): (["production"], "sequential"),
        ("train", "staging"): (["staging"], "sequential"),
    }


def test_a_pull_request_reaches_no_cloud_and_one_job_gets_a_token() -> None:
    pipeline = load("pull-request")
    jobs = [job for stage in pipeline.stages for job in stage.jobs]
    assert {job.environment for job in jobs} == {""}
    assert not any(step.content == "AzureCLI@2" for job in jobs for step in job.steps)
    with_token = [job for job in jobs if "System.AccessToken" in str(job.steps)]
    assert [job.name for job in with_token] == ["comment"]
    # The job with the token runs nothing of the pull request: no install, no tool that reads its settings.
    assert [step.content for step in with_token[0].steps] == [
        "self",
        "git checkout --quiet --detach HEAD^1",
        "current",
        'python3 -m mlops.ci.comment "$PIPELINE_WORKSPACE/$ARTIFACT/evaluation.json"',
    ]


@pytest.mark.parametrize("name", sorted(set(NAMES) - {"pull-request"}))
def test_jobs_with_an_identity_restore_nothing_that_a_pull_request_can_write(name: str) -> None:
    for stage in load(name).stages:
        for job in stage.jobs:
            assert "Cache@2" not in {step.content for step in job.steps}
            assert {step.content for step in job.steps if step.kind == "download"} <= {"none"}


# The stories.

CONNECTIONS = {
    name: {
        "AZURESUBSCRIPTION_SERVICE_CONNECTION_ID": f"connection-{name}",
        "AZURESUBSCRIPTION_CLIENT_ID": f"client-{name}",
        "AZURESUBSCRIPTION_TENANT_ID": "tenant",
    }
    for name in ("staging", "production", "staging-plan", "production-plan", "staging-infra", "production-infra")
}
RUN = "mlops run --on azureml --minutes 330"
WAITING = "mlops waiting --on azureml"
STAGING = "mlops deploy staging --on azureml"
ANNOUNCE = "mlops announce --on azureml"
PRODUCTION = "mlops deploy production --on azureml"
RELEASE = [STAGING, ANNOUNCE, PRODUCTION]


@dataclass(frozen=True)
class Story:
    """A run and what it called."""

    run: Run
    shims: Shims

    def verbs(self) -> list[str]:
        """Return the calls of mlops, in order."""
        return [call.words for call in self.shims.calls("mlops")]

    def given(self, name: str) -> list[str]:
        """Return what each call of mlops found in a variable."""
        return [call.environment.get(name, "") for call in self.shims.calls("mlops")]


Tell = Callable[..., Story]


@pytest.fixture
def tell(tmp_path: Path) -> Tell:
    """Run a pipeline; `ends` says how calls end, each time or one time after the other."""
    project = tmp_path / "project"
    git_project(project)

    def tell(
        name: str,
        ends: Mapping[str, Any] | None = None,
        parameters: Mapping[str, str] | None = None,
        approval: str = "approved",
        **world: Any,
    ) -> Story:
        given_ends = {words: end if isinstance(end, list) else [end] for words, end in (ends or {}).items()}
        program = f'exec {tmp_path}/shims/bin/terraform "$@"\n'
        unpacked = [{"files": {"{5}/terraform": program}}]
        shims = make_shims(tmp_path / "shims", {**given_ends, "python3 -m zipfile *": unpacked})
        environments = {"staging": "", "staging-infra": "", "production": approval, "production-infra": approval}
        given = {"secrets": {"System.AccessToken": "token-of-the-job"}, "environments": environments, **world}
        environment = {"PATH": shims.path, "HOME": str(tmp_path)}
        done = run(
            load(name, parameters),
            World(project, tmp_path / "agents", environment, CONNECTIONS, **given),
        )
        return Story(done, shims)

    return tell


def git_project(folder: Path) -> None:
    """Make a repository whose HEAD is a merge commit, as the service checks out a pull request."""
    folder.mkdir()
    git(folder, "init", "--quiet", "--initial-branch=main")
    (folder / "where").write_text("target branch", "utf-8")
    git(folder, "add", "--all")
    git(folder, "commit", "--quiet", "--message=base")
    git(folder, "checkout", "--quiet", "-b", "change")
    (folder / "where").write_text("pull request", "utf-8")
    git(folder, "commit", "--quiet", "--all", "--message=change")
    git(folder, "checkout", "--quiet", "main")
    git(folder, "merge", "--quiet", "--no-ff", "--message=merge", "change")


TRAINED = {RUN: {"outputs": {"version": "7"}}, WAITING: {"outputs": {"version": "7"}}}


def test_a_better_model_goes_from_training_to_production(tell: Tell) -> None:
    story = tell("train", TRAINED)
    assert story.run.stages == {
        "train": "Succeeded",
        "find": "Succeeded",
        "staging": "Succeeded",
        "production": "Succeeded",
    }
    assert story.run.jobs["train.follow"] == "Skipped"
    assert story.run.asked == ["production"]
    assert story.verbs() == [RUN, WAITING, *RELEASE]
    assert story.given("MLOPS_VERSION") == ["", "", "7", "7", "7"]
    assert story.given("AZURESUBSCRIPTION_SERVICE_CONNECTION_ID") == [
        *["connection-staging"] * 4,
        "connection-production",
    ]
    assert story.given("AZURE_SUBSCRIPTION_ID") == [
        *["subscription-of-client-staging"] * 4,
        "subscription-of-client-production",
    ]
    assert story.given("SYSTEM_ACCESSTOKEN") == ["token-of-the-job"] * 5
    assert story.given("MLOPS_WEBHOOK") == [""] * 5
    assert story.given("TF_BUILD") == ["True"] * 5
    assert "token-of-the-job" not in str(story.run.steps)


@pytest.mark.parametrize(
    ("end", "result"), [({"code": 3}, "Succeeded"), ({"code": 1}, "Failed"), ({"code": 2}, "Failed")]
)
def test_a_model_that_is_not_registered_is_not_released(end: dict[str, int], result: str, tell: Tell) -> None:
    story = tell("train", {RUN: end})
    assert story.run.result == result
    assert story.run.stages == {"train": result, "find": "Skipped", "staging": "Skipped", "production": "Skipped"}
    assert (story.verbs(), story.run.asked) == ([RUN], [])


def test_a_long_training_is_followed_and_released(tell: Tell) -> None:
    story = tell("train", {**TRAINED, RUN: [{"outputs": {"job": "calm_tree_1"}}, {"outputs": {"version": "7"}}]})
    assert story.run.jobs["train.follow"] == "Succeeded"
    assert story.verbs() == [RUN, RUN, WAITING, *RELEASE]
    assert story.given("MLOPS_JOB") == ["", "calm_tree_1", "", "", "", ""]
    assert story.given("MLOPS_VERSION") == ["", "", "", "7", "7", "7"]


def test_a_training_that_takes_longer_still_is_left_to_the_daily_release(tell: Tell) -> None:
    story = tell("train", {RUN: [{"outputs": {"job": "calm_tree_1"}}]})
    assert story.verbs() == [RUN, RUN]
    assert list(story.run.stages.values()) == ["Succeeded", "Skipped", "Skipped", "Skipped"]


def test_a_job_can_be_followed_by_hand(tell: Tell) -> None:
    story = tell("train", TRAINED, {"job": "calm_tree_1"})
    assert story.given("MLOPS_JOB") == ["calm_tree_1", "", "", "", ""]
    assert story.verbs() == [RUN, WAITING, *RELEASE]


def test_each_day_the_version_that_waits_is_released(tell: Tell) -> None:
    story = tell("release", {WAITING: {"outputs": {"version": "7"}}})
    assert story.verbs() == [WAITING, *RELEASE]
    assert story.given("MLOPS_VERSION") == ["", "7", "7", "7"]
    assert (story.run.result, story.run.asked) == ("Succeeded", ["production"])


def test_if_no_version_waits_nothing_is_released(tell: Tell) -> None:
    story = tell("release")
    assert story.verbs() == [WAITING]
    assert story.run.stages == {"find": "Succeeded", "staging": "Skipped", "production": "Skipped"}
    assert (story.run.result, story.run.asked) == ("Succeeded", [])


def test_a_training_that_changed_nothing_releases_nothing(tell: Tell) -> None:
    """Its version was served before, since Azure ML reuses the steps of an equal run."""
    story = tell("train", {RUN: {"outputs": {"version": "7"}}})
    assert story.verbs() == [RUN, WAITING]
    assert story.run.stages["staging"] == "Skipped"


def test_by_hand_any_version_is_released(tell: Tell) -> None:
    story = tell("release", parameters={"version": "3"})
    assert story.verbs() == RELEASE
    assert story.given("MLOPS_VERSION") == ["3"] * 3


@pytest.mark.parametrize(
    ("ends", "approval", "stages", "verbs"),
    [
        ({STAGING: {"code": 1}}, "approved", ["Failed", "Skipped"], [STAGING]),
        ({ANNOUNCE: {"code": 1}}, "approved", ["Failed", "Skipped"], [STAGING, ANNOUNCE]),
        ({PRODUCTION: {"code": 1}}, "approved", ["Succeeded", "Failed"], RELEASE),
        ({}, "rejected", ["Succeeded", "Failed"], [STAGING, ANNOUNCE]),
        ({}, "timed out", ["Succeeded", "Skipped"], [STAGING, ANNOUNCE]),
    ],
)
def test_a_release_that_fails_or_is_not_approved_goes_no_further(
    ends: dict[str, Any], approval: str, stages: list[str], verbs: list[str], tell: Tell
) -> None:
    story = tell("release", ends, {"version": "3"}, approval)
    assert list(story.run.stages.values()) == ["Succeeded", *stages]
    assert story.verbs() == verbs
    assert story.run.asked == (["production"] if stages[0] == "Succeeded" else [])
    assert story.run.result == ("Failed" if "Failed" in stages else "Succeeded")


@pytest.mark.parametrize(
    ("step", "verbs"),
    [
        ("Install the requirements", []),
        ("Deploy to staging", [STAGING]),
        ("Tell the reviewers", [STAGING, ANNOUNCE]),
        ("Deploy to production", RELEASE),
    ],
)
def test_after_a_cancel_nothing_else_starts(step: str, verbs: list[str], tell: Tell) -> None:
    story = tell("release", None, {"version": "3"}, cancel=Cancel(step))
    assert story.run.result == "Canceled"
    assert story.verbs() == verbs


def test_a_webhook_is_told_if_there_is_one(tell: Tell) -> None:
    secrets = {"System.AccessToken": "token-of-the-job", "MLOPS_WEBHOOK": "https://hooks.example.com/secret"}
    story = tell("release", None, {"version": "3"}, secrets=secrets)
    assert story.given("MLOPS_WEBHOOK") == ["", "https://hooks.example.com/secret", ""]
    assert "hooks.example.com" not in str(story.run.steps)


@pytest.mark.parametrize(
    ("approval", "result", "verbs"),
    [("approved", "Succeeded", ["mlops rollback --on azureml"]), ("rejected", "Failed", [])],
)
def test_a_rollback_needs_an_approval(approval: str, result: str, verbs: list[str], tell: Tell) -> None:
    story = tell("rollback", approval=approval)
    assert (story.run.result, story.run.asked, story.verbs()) == (result, ["production"], verbs)
    assert story.given("AZURESUBSCRIPTION_CLIENT_ID") == ["client-production"] * len(verbs)


PLAN = {one: f"mlops infra plan {one}" for one in ("staging", "production")}
APPLY = {one: f"mlops infra apply {one}" for one in ("staging", "production")}


def plans(**changes: str) -> dict[str, Any]:
    """Return the ends of the plans of both environments, by whether they change anything."""
    return {PLAN[one]: {"outputs": {"plan": f"digest-{one}", "changes": found}} for one, found in changes.items()}


BOTH = plans(staging="true", production="true")


@pytest.mark.parametrize(
    ("ends", "approval", "verbs", "asked", "result"),
    [
        (
            BOTH,
            "approved",
            [PLAN["staging"], APPLY["staging"], PLAN["production"], APPLY["production"]],
            ["production-infra"],
            "Succeeded",
        ),
        (
            BOTH,
            "rejected",
            [PLAN["staging"], APPLY["staging"], PLAN["production"]],
            ["production-infra"],
            "Failed",
        ),
        (
            plans(staging="false", production="true"),
            "approved",
            [PLAN["staging"], PLAN["production"], APPLY["production"]],
            ["production-infra"],
            "Succeeded",
        ),
        (plans(staging="false", production="false"), "approved", [*PLAN.values()], [], "Succeeded"),
        ({**BOTH, APPLY["staging"]: {"code": 1}}, "approved", [PLAN["staging"], APPLY["staging"]], [], "Failed"),
        ({**BOTH, PLAN["staging"]: {"code": 1}}, "approved", [PLAN["staging"]], [], "Failed"),
        ({**BOTH, "sha256sum *": {"code": 1}}, "approved", [], [], "Failed"),
    ],
)
def test_the_plan_that_was_approved_is_applied(
    ends: dict[str, Any], approval: str, verbs: list[str], asked: list[str], result: str, tell: Tell
) -> None:
    story = tell("infra", ends, approval=approval)
    assert (story.verbs(), story.run.asked, story.run.result) == (verbs, asked, result)
    for call in story.shims.calls("mlops"):
        _, _, action, environment = call.words.split()
        kind = "plan" if action == "plan" else "infra"
        assert call.environment["AZURESUBSCRIPTION_CLIENT_ID"] == f"client-{environment}-{kind}"
        assert call.environment.get("MLOPS_PLAN", "") == ("" if action == "plan" else f"digest-{environment}")


def test_staging_that_nobody_approved_in_time_leaves_production_as_it_is(tell: Tell) -> None:
    story = tell("infra", BOTH, environments={"staging-infra": "timed out", "production-infra": "approved"})
    assert story.verbs() == [PLAN["staging"]]
    assert list(story.run.stages.values()) == ["Succeeded", *["Skipped"] * 3]


def test_a_cancelled_apply_is_the_end(tell: Tell) -> None:
    story = tell("infra", BOTH, cancel=Cancel("Apply the plan"))
    assert story.verbs() == [PLAN["staging"], APPLY["staging"]]


def test_drift_is_told_and_changes_nothing(tell: Tell) -> None:
    ends = {PLAN["production"]: {"outputs": {"plan": "digest", "changes": "true", "drift": "Production: 1 to change."}}}
    story = tell("drift", ends)
    assert story.verbs() == [PLAN["staging"], PLAN["production"]]
    assert (story.run.asked, story.run.result) == ([], "Succeeded")
    last = story.shims.calls("python3")[-1]
    assert last.words == "python3 -m mlops.ci.issue Azure does not match infra/  Production: 1 to change."
    assert "SYSTEM_ACCESSTOKEN" not in last.environment


@pytest.mark.parametrize(("code", "result"), [(0, "Succeeded"), (1, "Failed")])
def test_monitoring_needs_no_approval(code: int, result: str, tell: Tell) -> None:
    verb = "mlops monitor --on azureml"
    story = tell("monitor", {verb: {"code": code}})
    assert (story.run.result, story.run.asked, story.verbs()) == (result, [], [verb])
    assert story.given("AZURESUBSCRIPTION_CLIENT_ID") == ["client-production-plan"]


EVALUATED = {"files": {"outputs/evaluation/evaluation.json": "{}"}}
PULL_REQUEST = {"Build.Reason": "PullRequest", "Build.Repository.Provider": "TfsGit"}
COMMENT = "python3 -m mlops.ci.comment"


def refused(reason: str) -> dict[str, Any]:
    """Return the end of a run whose model the gate refused."""
    return {"code": 3, "outputs": {"refused": reason}}


CHAMPION = {"mlops --project * run": {"files": {"{2}/mlflow.db": "", "{2}/mlruns/1": ""}}}


def test_a_pull_request_is_checked_trained_and_commented(tell: Tell) -> None:
    story = tell("pull-request", {"mlops run": EVALUATED, **CHAMPION}, variables=PULL_REQUEST)
    assert set(story.run.jobs.values()) == {"Succeeded"}
    made = [call.words for call in story.shims.calls("mlops", "mypy", "pytest", "python3", "ruff", "terraform")]
    calls = [words for words in made if "zipfile" not in words]
    target = next(word for word in calls if word.startswith("mlops --project"))
    [comment] = [word for word in calls if word.startswith(COMMENT)]
    assert calls == [
        "ruff check .",
        "ruff format --check .",
        "mypy",
        "mlops doctor --offline",
        "pytest --junitxml=outputs/TEST-pytest.xml",
        "terraform fmt -check -recursive infra",
        *(
            f"terraform -chdir={root} {words}"
            for root in ("infra", "infra/bootstrap")
            for words in ("init -backend=false -input=false", "validate", "test")
        ),
        target,
        "mlops run",
        "mlops release --yes",
        "mlops stop",
        comment,
    ]
    assert comment.endswith("/evaluation-1/evaluation.json")
    assert Path(comment.split()[-1]).read_text("utf-8") == "{}"
    last = story.shims.calls("python3")[-1]
    assert (last.environment["PYTHONPATH"], last.environment["SYSTEM_ACCESSTOKEN"]) == ("src", "token-of-the-job")
    others = story.shims.calls("mlops", "mypy", "pytest", "ruff")
    assert not any("SYSTEM_ACCESSTOKEN" in call.environment for call in others)


def test_the_champion_is_the_target_branchs_model_and_may_fail(tell: Tell) -> None:
    """Its own commands are not this job's: they report nothing. A failure leaves the model without a champion."""
    story = tell("pull-request", {"mlops run": EVALUATED}, variables=PULL_REQUEST)
    [champion] = [call for call in story.shims.calls("mlops") if "--project" in call.words]
    folder = Path(champion.words.split()[2])
    assert (folder / "where").read_text("utf-8") == "target branch"
    assert champion.environment["TF_BUILD"] == ""
    assert champion.environment["PYTHONPATH"] == f"{folder}/src"
    [step] = [step for step in story.run.steps if step.step.startswith("Train the target")]
    assert step.result == "Failed"  # the stand-in leaves no mlflow.db to move
    assert story.run.jobs["__default.model"] == "SucceededWithIssues"


def test_the_comment_is_made_by_the_target_branchs_code(tell: Tell, tmp_path: Path) -> None:
    tell("pull-request", {"mlops run": EVALUATED}, variables=PULL_REQUEST)
    assert (tmp_path / "agents" / "__default.comment" / "s" / "where").read_text("utf-8") == "target branch"
    assert (tmp_path / "agents" / "__default.model" / "s" / "where").read_text("utf-8") == "pull request"


@pytest.mark.parametrize(
    ("ends", "variables", "jobs"),
    [
        ({"mlops run": {**EVALUATED, **refused("tie")}, **CHAMPION}, PULL_REQUEST, ("Succeeded",) * 3),
        ({"mlops run": {**EVALUATED, **refused("worse")}}, PULL_REQUEST, ("Succeeded", "Failed", "Succeeded")),
        ({"mlops run": {"code": 1}}, PULL_REQUEST, ("Succeeded", "Failed", "Skipped")),
        ({"mlops run": EVALUATED, "mypy": {"code": 1}, **CHAMPION}, PULL_REQUEST, ("Failed", "Succeeded", "Succeeded")),
        (
            {"mlops run": EVALUATED},
            {**PULL_REQUEST, "Build.Reason": "IndividualCI"},
            ("Succeeded", "Succeeded", "Skipped"),
        ),
        (
            {"mlops run": EVALUATED},
            {**PULL_REQUEST, "Build.Repository.Provider": "GitHub"},
            ("Succeeded", "SucceededWithIssues", "Skipped"),
        ),
    ],
)
def test_the_report_comes_even_if_the_model_is_refused(
    ends: dict[str, Any], variables: dict[str, str], jobs: tuple[str, ...], tell: Tell
) -> None:
    story = tell("pull-request", ends, variables=variables)
    assert tuple(story.run.jobs[f"__default.{name}"] for name in ("check", "model", "comment")) == jobs
    assert "mlops stop" in story.verbs()


# The same on GitHub.

WORKFLOWS = PROJECT / ".github" / "workflows"
ON_GITHUB = {path.stem for path in WORKFLOWS.glob("*.yml")}
ON_BOTH = [name for name in NAMES if name in ON_GITHUB]
COMMAND = re.compile(r"\b(?:mlops|ruff|mypy|pytest|python3 -m mlops|terraform (?=fmt|-chdir))[^\n|#]*")
# What differs by platform: the folders, and that only Azure Pipelines publishes the tests' results.
PLATFORM = re.compile(r"""--project \S+ |--junitxml=\S+|"?\S*evaluation\.json"?""")


def github(name: str) -> Any:
    return yaml.safe_load((WORKFLOWS / f"{name}.yml").read_text("utf-8"))


def github_jobs(name: str) -> Iterator[tuple[str, Any]]:
    """Return the jobs of a workflow, and of those that it calls."""
    for key, job in github(name)["jobs"].items():
        if "uses" in job:
            yield from github_jobs(Path(job["uses"]).stem)
        else:
            yield key.replace("-", "_"), job


def azure_jobs(name: str) -> list[Job]:
    return [job for stage in load(name).stages for job in stage.jobs]


def commands_in(texts: Iterator[str]) -> list[str]:
    """Return the commands of the lifecycle and its tools, each once, without what differs by platform."""
    found = [command for text in texts for command in COMMAND.findall(text)]
    return list(dict.fromkeys(PLATFORM.sub("", command).strip() for command in found))


def scripts(jobs: list[Job]) -> Iterator[str]:
    for job in jobs:
        for step in job.steps:
            yield step.inputs.get("inlineScript", step.content if step.kind in ("bash", "script") else "")


def test_every_workflow_has_a_pipeline() -> None:
    assert set(NAMES) == ON_GITHUB


@pytest.mark.parametrize("name", ON_BOTH)
def test_both_platforms_run_the_same_commands_in_the_same_order(name: str) -> None:
    of_github = commands_in(step.get("run", "") for _, job in github_jobs(name) for step in job["steps"])
    assert commands_in(scripts(azure_jobs(name))) == of_github


@pytest.mark.parametrize("name", ON_BOTH)
def test_both_platforms_use_the_same_identities_and_gates_in_the_same_order(name: str) -> None:
    """A GitHub job has an identity by its environment; Azure Pipelines has service connections of the same names."""
    environments = list(dict.fromkeys(job["environment"] for _, job in github_jobs(name) if "environment" in job))
    connections = [step.inputs.get("azureSubscription") for job in azure_jobs(name) for step in job.steps]
    assert list(dict.fromkeys(filter(None, connections))) == environments
    gates = list(dict.fromkeys(job.environment for job in azure_jobs(name) if job.environment))
    assert gates == [one for one in environments if not one.endswith("-plan")]


@pytest.mark.parametrize("name", ON_BOTH)
def test_both_platforms_start_by_the_same_events_with_the_same_inputs(name: str) -> None:
    triggers, content = github(name)[True], load(name).content  # YAML 1.1 reads the key `on` as true
    crons = [one["cron"] for one in triggers.get("schedule", [])]
    assert [one["cron"] for one in content.get("schedules", [])] == crons
    parameters = yaml.safe_load((FOLDER / f"{name}.yml").read_text("utf-8")).get("parameters", [])
    inputs = (triggers.get("workflow_dispatch") or {}).get("inputs", {})
    assert [parameter["name"] for parameter in parameters] == list(inputs)
    push = triggers.get("push", {})
    assert (content["trigger"] != "none") == bool(push)
    if push:
        assert content["trigger"]["branches"]["include"] == push["branches"]
        paths = content["trigger"].get("paths", {}).get("include", [])
        assert paths == [path.removesuffix("/**") for path in push.get("paths", [])]
    assert (content["pr"] != "none") == ("pull_request" in triggers)


@pytest.mark.parametrize("name", ON_BOTH)
def test_both_platforms_give_jobs_the_same_time(name: str) -> None:
    """Except the job that follows a long training: GitHub's starts another run."""
    of_github = {key: job["timeout-minutes"] for key, job in github_jobs(name) if key != "follow"}
    of_azure = {job.name: int(job.timeout) for job in azure_jobs(name)}
    assert {key: of_azure[key] for key in of_github} == of_github
    assert of_azure.keys() - of_github.keys() <= {"find", "follow"}


def test_both_platforms_install_the_same_programs() -> None:
    def checksums(folder: Path) -> set[str]:
        return {
            one for path in folder.rglob("*.yml") for one in re.findall(r"\b[0-9a-f]{64}\b", path.read_text("utf-8"))
        }

    assert checksums(FOLDER) >= checksums(PROJECT / ".github" / "actions")
