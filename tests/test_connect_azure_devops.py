"""`mlops connect` on Azure DevOps: the real command, git and Terraform, with an organization on this machine."""

import json
import re
import subprocess
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
import yaml
from connect_site import Site, running_connect_site
from doubles.azure_devops import Fault, json_answer
from doubles.azure_devops_organization import ENTRA, ISSUER, PAT, PEOPLE, subject
from doubles.terraform.client import Terraform
from landing_zone import ENVIRONMENTS
from rendering import ROOT, Render

WEBHOOK = "https://example.com/planted-webhook"
APPLY = "terraform apply -input=false -auto-approve -no-color"
OPEN = "terraform init -input=false -no-color -reconfigure -backend-config="  # creates the state
# Each change on Azure DevOps by one run; P is the project.
CHANGES = """\
POST _apis/projects: Credit Risk
POST P/git/repositories: credit-risk
POST git push
POST P/distributedtask/environments: staging
POST P/pipelines/checks/configurations: staging, staging
POST P/distributedtask/environments: production
POST P/pipelines/checks/configurations: production, production, production
POST P/distributedtask/environments: staging-infra
POST P/pipelines/checks/configurations: staging-infra, staging-infra
POST P/distributedtask/environments: production-infra
POST P/pipelines/checks/configurations: production-infra, production-infra, production-infra
POST _apis/serviceendpoint/endpoints: staging
POST P/pipelines/checks/configurations: staging
POST _apis/serviceendpoint/endpoints: production
POST P/pipelines/checks/configurations: production
POST _apis/serviceendpoint/endpoints: staging-infra
POST P/pipelines/checks/configurations: staging-infra
POST _apis/serviceendpoint/endpoints: production-infra
POST P/pipelines/checks/configurations: production-infra
POST _apis/serviceendpoint/endpoints: staging-plan
POST P/pipelines/checks/configurations: staging-plan
POST _apis/serviceendpoint/endpoints: production-plan
POST P/pipelines/checks/configurations: production-plan
POST git push
POST P/pipelines: pull-request, infra
PATCH P/pipelines/pipelinepermissions/endpoint: staging-plan, production-plan, staging-infra, production-infra
PATCH P/pipelines/pipelinepermissions/environment: staging-infra, production-infra
POST P/policy/configurations: 0609b952-1397-4640-95ec-e00a01b2c241
POST P/pipelines/runs: infra
PUT _apis/serviceendpoint/endpoints: staging, production
POST P/pipelines: train
PATCH P/pipelines/pipelinepermissions/endpoint: staging, production
PATCH P/pipelines/pipelinepermissions/environment: staging, production
POST P/pipelines: release
PATCH P/pipelines/pipelinepermissions/endpoint: staging, production
PATCH P/pipelines/pipelinepermissions/environment: staging, production
POST P/pipelines: rollback
PATCH P/pipelines/pipelinepermissions/endpoint: production
PATCH P/pipelines/pipelinepermissions/environment: production
POST P/pipelines: drift
PATCH P/pipelines/pipelinepermissions/endpoint: staging-plan, production-plan
POST P/pipelines: monitor
PATCH P/pipelines/pipelinepermissions/endpoint: production-plan
PUT P/build/definitions: train, release
POST P/pipelines/runs: train
"""


@pytest.fixture(scope="module")
def rendered(render: Render) -> Path:
    return render({"ci_cd": "azure-pipelines"})


@pytest.fixture
def site(rendered: Path, terraform: Terraform, tmp_path: Path) -> Iterator[Site]:
    with running_connect_site(rendered, terraform, tmp_path) as site:
        yield site


@pytest.fixture(scope="module")
def connected(rendered: Path, terraform: Terraform, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Site]:
    """A project that one run has connected; do not change it."""
    with running_connect_site(rendered, terraform, tmp_path_factory.mktemp("connected")) as site:
        done = site.connect(MLOPS_WEBHOOK=WEBHOOK)
        assert done.returncode == 0, done.stdout
        yield site


def compact(site: Site) -> str:
    """Return what changed on Azure DevOps, calls of one kind in a row on one line."""
    numbers = {one["id"]: one["name"] for one in site.devops.endpoints}
    numbers |= {f"environment/{number}": name for number, name in enumerate(site.devops.checks, 1)}
    numbers |= {f"pipelines/{one['id']}/runs": one["name"] for one in site.devops.definitions}
    lines: list[list[str]] = []
    for method, path, content in site.devops.changes:
        given = content or {}
        named = next((name for key, name in numbers.items() if path.endswith(key)), "")
        what = given.get("name") or given.get("resource", {}).get("name") or given.get("type", {}).get("id") or named
        short = re.sub(r"/([0-9a-f-]{36}|\d+)(?=/|$)", "", path).replace("Credit Risk/_apis", "P")
        head = f"{method} {'git push' if '_git' in path else short}"
        if lines and lines[-1][0] == head:
            lines[-1].append(what)
        else:
            lines.append([head, what])
    return "".join(f"{head}: {', '.join(names)}".removesuffix(": ") + "\n" for head, *names in lines)


def everything(site: Site) -> dict[str, Any]:
    """Return what runs leave behind: in the organization, on Azure, in the repository, and in the record."""
    names = site.clients()
    found = site.devops.state()
    found["connections"] = {name: (names[client], checks) for name, (client, checks) in found["connections"].items()}
    found["trust"] = site.trusted()
    found["files"] = site.git("ls-tree", "-r", "main")
    record = json.loads((site.project / ".mlops" / "connect.json").read_text("utf-8"))
    found["record"] = sorted(one["path"] for one in record)
    return found


def trust(site: Site, name: str) -> str:
    """Return the value of Terraform's variable for a connection."""
    [found] = [one for one in site.devops.endpoints if one["name"] == name]
    return f'{{ issuer = "{ISSUER}", subject = "{subject(found)}" }}'


def trusting(site: Site, name: str) -> str:
    """Return the options by which Terraform trusts an environment's connections."""
    return f"-var=azure_devops={trust(site, f'{name}-infra')} -var=azure_devops_plan={trust(site, f'{name}-plan')}"


def test_every_change_in_its_order(connected: Site) -> None:
    assert compact(connected) == CHANGES
    begin = re.compile(r"git (init|commit|remote|push)|terraform (apply|.*-reconfigure)")
    assert [re.sub("storage_account_name=.*", "", one) for one in connected.calls() if begin.match(one)] == [
        "git init --quiet --initial-branch=main",
        "git commit --quiet --no-verify -m Render mlops-template -- .",
        f"git remote add origin {connected.devops.address}/Credit%20Risk/_git/credit-risk",
        "git push --quiet -u origin main",
        *(one for name in ENVIRONMENTS for one in (f"{APPLY} -state={name}.tfstate -var=environment={name}", OPEN)),
        *(
            one
            for name in ENVIRONMENTS
            for one in (f"{APPLY} -state={name}.tfstate -var=environment={name} {trusting(connected, name)}", OPEN)
        ),
        *(
            f"git commit --quiet --no-verify -m Let Azure trust the pipelines of {name} -- infra/{name}.tfvars"
            for name in ENVIRONMENTS
        ),
        "git push --quiet -u origin main",
        OPEN,
        OPEN,
    ]


def test_each_connection_is_trusted_by_its_identity(connected: Site) -> None:
    found = everything(connected)
    roles = {"": "ci", "-infra": "terraform", "-plan": "plan"}
    assert {name: identity for name, (identity, _) in found["connections"].items()} == {
        f"{name}{suffix}": f"id-creditrisk-{name}-{role}" for name in ENVIRONMENTS for suffix, role in roles.items()
    }
    subjects = {one["name"]: subject(one) for one in connected.devops.endpoints}
    assert found["trust"] == {identity: subjects[name] for name, (identity, _) in found["connections"].items()}
    for name in ENVIRONMENTS:
        assert connected.git("show", f"main:infra/{name}.tfvars") == f"azure_devops = {trust(connected, name)}\n"


def test_environments_and_connections_are_protected(connected: Site) -> None:
    found = connected.devops.state()
    kinds = {name: [kind for kind, _, _ in checks] for name, checks in found["environments"].items()}
    lock, approval, branch = (
        "2ef31ad6-baa0-403a-8b45-2cbc9b4e5563",
        "8c6f20a7-a545-4486-9777-f762fafe0d4d",
        "Branch control",
    )
    assert kinds == {
        "production": [lock, approval, branch],
        "production-infra": [lock, approval, branch],
        "staging": [lock, branch],
        "staging-infra": [lock, branch],
    }
    everywhere = [*found["environments"].values(), *(checks for _, checks in found["connections"].values())]
    for checks in everywhere:
        assert [inputs["allowedBranches"] for kind, _, inputs in checks if kind == branch] == ["refs/heads/main"]
    [settings] = [one["settings"] for one in connected.devops.checks["production"] if "approvers" in one["settings"]]
    assert settings["approvers"] == [{"id": PEOPLE[0]["id"]}]
    assert settings["requesterCannotBeApprover"] is False


def test_a_pipeline_may_use_what_its_file_names(connected: Site, rendered: Path) -> None:
    """What the files name, with those that they include, is what `mlops connect` permits, and nothing else."""
    wanted: dict[str, set[str]] = {}
    for file in (rendered / "azure-pipelines").glob("*.yml"):
        for kind, name in uses(file):
            wanted.setdefault(f"{kind} {name}", set()).add(file.stem)
    assert connected.devops.state()["permissions"] == {key: sorted(names) for key, names in sorted(wanted.items())}


def uses(file: Path, given: dict[str, Any] | None = None) -> Iterator[tuple[str, str]]:
    """Yield the connections and environments that a file names, with its parameters' values."""

    def walk(node: Any) -> Iterator[tuple[str, str]]:
        if isinstance(node, dict):
            if isinstance(node.get("template"), str):
                values = {key: expand(value) for key, value in node.get("parameters", {}).items()}
                yield from uses(file.parent / node["template"], values)
                return
            if isinstance(node.get("environment"), str):
                yield "environment", expand(node["environment"])
            if isinstance(node.get("azureSubscription"), str):
                yield "endpoint", expand(node["azureSubscription"])
        for one in node.values() if isinstance(node, dict) else node if isinstance(node, list) else ():
            yield from walk(one)

    def expand(value: Any) -> Any:
        pattern = r"\$\{\{ parameters\.(\w+) \}\}"
        return (
            re.sub(pattern, lambda found: str((given or {}).get(found[1])), value) if isinstance(value, str) else value
        )

    yield from walk(yaml.safe_load(file.read_text("utf-8")).copy())


def test_it_says_what_it_does_and_what_remains(connected: Site) -> None:
    said = connected.output
    assert "  [ ] Project\n        create the project " in said
    assert "waits for an approval: " in said
    assert f"{connected.devops.address}/Credit%20Risk/_build/results?buildId=100" in said
    assert "By hand remain the rights of the Build Service" in said


def test_the_webhook_arrives_as_it_is(connected: Site) -> None:
    variables = {one["name"]: one["variables"] for one in connected.devops.definitions if one["variables"]}
    secret = {"MLOPS_WEBHOOK": {"value": WEBHOOK, "isSecret": True}}
    assert variables == {"train": secret, "release": secret}


def test_secrets_are_nowhere(connected: Site) -> None:
    secrets = [PAT, ENTRA, WEBHOOK, "OnBsYW50ZWQt"]  # the last begins the PAT's Basic form
    for file in connected.project.rglob("*"):
        if file.is_file():
            assert not [one for one in secrets if one.encode() in file.read_bytes()], file
    for text in (connected.output, *connected.calls()):
        assert not [one for one in secrets if one in text]


def test_a_second_run_changes_nothing(connected: Site) -> None:
    changes, before, applied = len(connected.devops.changes), everything(connected), applies(connected)
    done = connected.connect(MLOPS_WEBHOOK=WEBHOOK)
    assert done.returncode == 0
    assert done.stdout.endswith("\nEverything is connected.\n")
    assert "[ ]" not in done.stdout
    assert (len(connected.devops.changes), everything(connected), applies(connected)) == (changes, before, applied)


def applies(site: Site) -> int:
    return sum(call.startswith(APPLY) for call in site.calls())


@pytest.mark.parametrize("step", [9, pytest.param(1, marks=pytest.mark.exhaustive)])
def test_a_run_that_is_killed_again_and_again_ends_in_the_same(step: int, site: Site, connected: Site) -> None:
    """Each run is killed when its n-th change was made, before it hears of it."""
    killed = 0
    while True:
        site.interrupt(step)
        done = site.connect(MLOPS_WEBHOOK=WEBHOOK)
        if done.returncode >= 0:
            break
        killed += 1
        assert killed < 100
    site.devops.interruption = None
    assert done.returncode == 0, done.stdout
    assert killed == len(connected.devops.changes) // step
    assert everything(site) == everything(connected)
    assert compact(site) == compact(connected)


@pytest.mark.exhaustive
def test_a_run_that_is_killed_at_a_program_ends_in_the_same(site: Site, connected: Site) -> None:
    for program in ("git init", "git add", "git commit", "git remote", "git push", "terraform init", "terraform apply"):
        assert site.connect(KILL_AT=program, MLOPS_WEBHOOK=WEBHOOK).returncode == -9, program
    for program in (
        "environment=production",
        '-plan"',
        "azure_devops={",
        "the pipelines of production",
        "-reconfigure",
    ):
        done = site.connect(KILL_AT=program, MLOPS_WEBHOOK=WEBHOOK)
        assert done.returncode in (-9, 0), done.stdout
    assert site.connect(MLOPS_WEBHOOK=WEBHOOK).returncode == 0
    assert everything(site) == everything(connected)


def test_the_login_of_az_is_enough(site: Site) -> None:
    done = site.connect("--no-wait", AZURE_DEVOPS_EXT_PAT="")
    assert done.returncode == 1
    assert "  Infrastructure: runs: " in done.stdout
    assert ENTRA not in done.stdout
    assert not any(ENTRA in call for call in site.calls())
    assert site.git("log", "--format=%s", "main").splitlines() == [
        "Let Azure trust the pipelines of production",
        "Let Azure trust the pipelines of staging",
        "Render mlops-template",
    ]
    # It is approved meanwhile; the next run follows what was started.
    done = site.connect(AZURE_DEVOPS_EXT_PAT="", AZURE_DEVOPS_ORG_URL="")
    assert done.returncode == 0, done.stdout
    assert [name for name, _ in site.devops.state()["runs"]] == ["infra", "train"]


def test_two_approvers_cannot_approve_what_they_started(site: Site) -> None:
    done = site.connect("--no-wait", "--reviewer", "alice@example.com", "--reviewer", "Bob")
    assert done.returncode == 1, done.stdout
    for name in ("production", "production-infra"):
        [found] = [one["settings"] for one in site.devops.checks[name] if "approvers" in one["settings"]]
        assert found["approvers"] == [{"id": one["id"]} for one in PEOPLE[:2]]
        assert found["requesterCannotBeApprover"] is True
    assert [one["type"]["id"] for one in site.devops.policies] == [
        "0609b952-1397-4640-95ec-e00a01b2c241",
        "fa4e907d-c16b-4a4c-9dfa-4906e5d171dd",
    ]
    # Another run without the option keeps them.
    before = len(site.devops.policies), json.dumps(site.devops.checks)
    site.connect("--no-wait")
    assert (len(site.devops.policies), json.dumps(site.devops.checks)) == before
    # A connection with a secret is not taken for one of ours.
    site.devops.endpoints[0]["authorization"]["scheme"] = "ServicePrincipal"
    done = site.connect("--no-wait")
    assert "The service connection staging logs in with a secret." in done.stdout
    site.devops.endpoints[0]["authorization"]["scheme"] = "WorkloadIdentityFederation"
    # Those who are named later replace the approvers.
    site.connect("--no-wait", "--reviewer", "Bob")
    [found] = [one["settings"] for one in site.devops.checks["production"] if "approvers" in one["settings"]]
    assert (found["approvers"], found["requesterCannotBeApprover"]) == ([{"id": PEOPLE[1]["id"]}], False)


def test_a_dry_run_changes_nothing(site: Site) -> None:
    done = site.connect("--dry-run")
    assert done.returncode == 0
    assert "none of them made" in done.stdout
    assert not site.devops.changes
    assert not (site.project / ".git").exists()
    assert not (site.project / ".mlops").exists()


REFUSED = json_answer({"message": "TF400813: The user is not authorized to access this resource.", "typeKey": "X"}, 403)
YAML_ERROR = json_answer({"message": "/azure-pipelines/infra.yml (Line: 3, Col: 1): Unexpected value"}, 400)
BUSY = Fault(503, b"", {"Retry-After": "0"})
P = "Credit Risk/_apis"


# What is refused, in the order of a run, and what is said.
REFUSALS = (
    ("GET _apis/process/processes", Fault(200, b"<html>"), "did not accept the login", "Replace the token"),
    ("POST _apis/projects", REFUSED, "refused POST _apis/projects: TF400813", "Ask an administrator"),
    (f"POST {P}/git/repositories", json_answer({"message": "TF400948: exists"}, 409), "TF400948", "may not see it"),
    (f"POST {P}/distributedtask/environments", REFUSED, "TF400813", "full access"),
    ("POST _apis/serviceendpoint/endpoints", REFUSED, "TF400813", "Ask an administrator"),
    (f"POST {P}/policy/configurations", REFUSED, "TF400813", "Ask an administrator"),
    (f"GET {P}/pipelines/2/runs", BUSY, "HTTP 503", "Wait a few minutes"),
    (f"POST {P}/pipelines/2/runs", YAML_ERROR, "Line: 3, Col: 1", "Correct what Azure DevOps names"),
)


def test_each_refusal_is_told_and_the_next_run_goes_on(site: Site, connected: Site) -> None:
    for call, answer, message, fix in REFUSALS:
        site.devops.refusals = {call: answer}
        done = site.connect("--no-wait")
        assert done.returncode == 1, done.stdout
        error = done.stdout.partition("Not done:")[2] or done.stdout.partition("Error: ")[2]
        assert message in error
        assert fix in error
        assert "To continue: " in error
        assert "Everything is connected" not in done.stdout
    site.devops.refusals.clear()
    done = site.connect(MLOPS_WEBHOOK=WEBHOOK)
    assert done.returncode == 0, done.stdout
    assert everything(site) == everything(connected)


def test_an_answer_that_is_lost_makes_nothing_twice(site: Site, connected: Site) -> None:
    calls = ("_apis/projects", f"{P}/distributedtask/environments", "_apis/serviceendpoint/endpoints", f"{P}/pipelines")
    for call in calls:
        site.devops.dropped = [f"POST {call}"]
        done = site.connect()
        assert done.returncode == 1, done.stdout
        assert f"Azure DevOps did not answer POST /office/{call.replace(' ', '%20')}" in done.stdout
        assert not site.devops.dropped
    done = site.connect(MLOPS_WEBHOOK=WEBHOOK)
    assert done.returncode == 0, done.stdout
    assert everything(site) == everything(connected)


def test_a_busy_azure_devops_is_asked_again(site: Site) -> None:
    site.devops.faults = [Fault(429, headers={"Retry-After": "0"}), BUSY, BUSY]
    done = site.connect("--dry-run")
    assert done.returncode == 0, done.stdout


@pytest.mark.parametrize(
    ("words", "changes", "message"),
    [
        ([], {"AZURE_DEVOPS_ORG_URL": ""}, "The organization of Azure DevOps is not known"),
        (["--organization", "office"], {}, "office is not the address of an organization"),
        (["--wait-timer", "5"], {}, "Azure DevOps has no --wait-timer"),
        (["--public"], {}, "private projects only"),
        ([], {"AZURE_DEVOPS_EXT_PAT": "wrong"}, "did not accept the login"),
        ([], {"AZURE_DEVOPS_EXT_PAT": "", "AZ_TOKEN": "wrong"}, "did not accept the login"),
        ([], {"AZURE_DEVOPS_EXT_PAT": "", "AZ_FAILS": "Please run 'az login'"}, "az has no token for Azure DevOps"),
    ],
)
def test_what_is_wrong_at_the_start_is_told_before_anything_changes(
    words: list[str], changes: dict[str, str], message: str, site: Site
) -> None:
    done = site.connect(*words, **changes)
    assert done.returncode == 2, done.stdout
    assert message in done.stdout
    assert "Fix: " in done.stdout
    assert not site.devops.changes
    assert not (site.project / ".git").exists()


@pytest.mark.parametrize("who", ["nobody@example.com", "example.com"])
def test_an_unclear_approver_is_refused(who: str, site: Site) -> None:
    done = site.connect("--reviewer", who)
    assert done.returncode == 1
    assert f"for {who}" in done.stdout
    assert not site.devops.definitions


def test_the_placeholder_is_not_created(site: Site) -> None:
    settings = site.project / "project.yml"
    settings.write_text(settings.read_text("utf-8").replace("Credit Risk/credit-risk", "ORG/credit-risk"), "utf-8")
    done = site.connect()
    assert done.returncode == 2
    assert "ORG only stands for its project" in done.stdout
    assert not site.devops.calls


def test_a_remote_elsewhere_is_left_alone(site: Site) -> None:
    for words in (["init", "--quiet"], ["remote", "add", "origin", "https://github.com/team/credit-risk.git"]):
        subprocess.run(["git", "-C", site.project, *words], check=True)
    done = site.connect()
    assert done.returncode == 2
    assert "is not a repository of Azure DevOps" in done.stdout
    assert not site.devops.calls


def test_without_az_all_but_azure_is_done(site: Site) -> None:
    done = site.connect(AZ_FAILS="Please run 'az login' to setup account.")
    assert done.returncode == 1
    assert "waits for Azure: `az` is not logged in" in done.stdout
    assert list(site.devops.checks) == ["staging", "staging-infra"]  # who approves is not known
    assert not site.devops.endpoints


def test_an_infra_run_that_fails_is_told(site: Site) -> None:
    site.devops.apply = lambda _: False
    done = site.connect()
    assert done.returncode == 1
    assert "infra ended with failed: " in done.stdout
    assert [one["name"] for one in site.devops.definitions] == ["pull-request", "infra"]
    site.devops.apply = site.apply
    assert site.connect().returncode == 0
    assert site.devops.state()["runs"] == [("infra", "failed"), ("infra", "succeeded"), ("train", None)]


PURE = """
import json, sys
from mlops.connect.azure_devops.api import organization_of
from mlops.connect.azure_devops.connections import Trust
from mlops.connect.tfvars import with_values
print(json.dumps([organization_of(one) for one in json.loads(sys.argv[1])]))
values = {"azure_devops": Trust("I", "S").hcl}
for text in json.loads(sys.argv[2]):
    wanted = with_values(text, values, values)
    assert with_values(wanted, values, values) == wanted
    print(json.dumps(wanted))
"""


def test_remotes_and_settings_are_read_in_all_their_forms(project_python: Path) -> None:
    office = ["https://dev.azure.com/office", "Credit Risk/model"]
    remotes = {
        "https://dev.azure.com/office/Credit%20Risk/_git/model": office,
        "https://office@dev.azure.com/office/Credit%20Risk/_git/model": office,
        "git@ssh.dev.azure.com:v3/office/Credit%20Risk/model": office,
        "https://office.visualstudio.com/DefaultCollection/Credit%20Risk/_git/model": office,
        "https://office.visualstudio.com/Credit%20Risk/_git/model": office,
        "https://dev.azure.com/office/_git/model": [office[0], "model/model"],
        "https://tfs.example.com/office/Credit%20Risk/_git/model": ["https://tfs.example.com/office", office[1]],
        "https://github.com/office/model.git": None,
        "": None,
    }
    line = 'azure_devops = { issuer = "I", subject = "S" }\n'
    texts = {
        "": line,
        'alert_email = "a@example.com"': f'alert_email = "a@example.com"\n\n{line}',
        "azure_devops = null\nmonthly_budget = 5\n": f"monthly_budget = 5\n\n{line}",
        'azure_devops = {\n  issuer = "x"\n  subject = "y"\n}\n': line,
        f"{line}monthly_budget = 5\n": f"monthly_budget = 5\n\n{line}",
        "azure_devops_other = 1\n": f"azure_devops_other = 1\n\n{line}",
    }
    done = subprocess.run(
        [project_python, "-S", "-c", PURE, json.dumps(list(remotes)), json.dumps(list(texts))],
        env={"PYTHONPATH": str(ROOT / "{{cookiecutter.project_slug}}" / "src"), "PYTHONDONTWRITEBYTECODE": "1"},
        check=True,
        stdout=subprocess.PIPE,
        encoding="utf-8",
    )
    first, *rest = map(json.loads, done.stdout.splitlines())
    assert first == list(remotes.values())
    assert rest == list(texts.values())


def test_disconnect_takes_back_the_logins_and_lets_nothing_run(connected: Site) -> None:
    """Runs last: it changes what the other tests look at."""
    done = connected.disconnect()
    assert done.returncode == 0, done.stdout
    assert done.stdout.endswith("Removed.\n")
    found = connected.devops.state()
    assert not found["connections"]
    assert not found["policies"]
    assert {(variables == {}, status) for _, variables, status in found["pipelines"].values()} == {(True, "disabled")}
    assert len(found["environments"]) == 4
    assert sum(call.startswith("az rest --method delete") for call in connected.calls()) == 6
    assert not (connected.project / ".mlops" / "connect.json").exists()
