"""`mlops doctor --online`: everything that a first release needs, on one screen, before and after it is there."""

import json
import os
import re
from collections.abc import Callable, Iterator
from contextlib import AbstractContextManager, ExitStack, contextmanager
from dataclasses import dataclass, replace
from functools import partial
from pathlib import Path
from typing import Any

import pytest
from azure_landing import landing_zone_of
from azure_project import PREFIX, edited, name_of
from connecting import PERSON, TOKEN, Bench, bench, programs
from doubles import SUBSCRIPTION
from doubles.client import Double, running_double
from doubles.github import GitHub
from doubles.proxy import running_proxy
from doubles.terraform.client import Terraform
from landing_zone import apply_both
from rendering import Render, git, read_files
from warm_mlops import Mlops, Said, warm_mlops

REPOSITORY = "octo/credit-risk"
READY = "Everything that the first release needs is there."
WEBHOOK = "https://hooks.example.com/not-to-be-shown"
SCOPE = f"/subscriptions/{SUBSCRIPTION}"
GROUP = f"{SCOPE}/resourceGroups/rg-{PREFIX}"


@dataclass(frozen=True)
class Desk:
    """A person's machine with a project, and the doubles of GitHub and Azure."""

    bench: Bench
    azure: Double
    mlops: Mlops
    principals: dict[str, str]  # the object ids of the identities, by name

    @property
    def github(self) -> GitHub:
        return self.bench.github

    @property
    def project(self) -> Path:
        return self.bench.project

    def doctor(self, *words: str) -> Said:
        return self.mlops.attempt("doctor", "--online", *words)


@contextmanager
def desk(rendered: Path, python: Path, folder: Path, content: dict[str, Any]) -> Iterator[Desk]:
    """Log a person in to both doubles; ``content`` is what Terraform has made on Azure."""
    with ExitStack() as stack:
        environments = ("staging", "production") if content["workspaces"] else ()
        workspaces = [f"rg-{PREFIX}-{one}/mlw-{PREFIX}-{one}" for one in environments]
        found = stack.enter_context(bench(rendered, folder))
        azure = stack.enter_context(running_double(python, folder / "azure", workspaces, landing_zone=content))
        proxy = stack.enter_context(running_proxy(azure.url))
        programs(folder / "bin", "terraform")
        az = Path(azure.environment["PATH"].split(os.pathsep)[0]) / "az"
        (folder / "bin" / "az").symlink_to(az)
        variables = {**azure.environment, **proxy, **found.variables, "DOUBLE_LOGIN": "operator", "COLUMNS": "100"}
        mlops = stack.enter_context(warm_mlops(python, found.project, {**variables, "AZURE_SUBSCRIPTION_ID": ""}))
        principals = {one["name"]: one["object"] for one in content["principals"]}
        yield Desk(found, azure, mlops, principals)


@pytest.fixture(scope="module")
def connected(
    render: Render, terraform: Terraform, project_python: Path, tmp_path_factory: pytest.TempPathFactory
) -> Iterator[Desk]:
    """Everything is there: Terraform was applied, and `mlops connect` has done the rest."""
    folder, rendered = tmp_path_factory.mktemp("desk"), render({"repository": REPOSITORY})
    ids = {"github_ids": '{ owner = "34", repository = "7001" }'}
    zones = [
        *apply_both(terraform, rendered, folder / "first", "infra/bootstrap", lambda _: ids),
        *apply_both(terraform, rendered, folder / "second", "infra", lambda _: ids),
    ]
    content = landing_zone_of(zones)
    content["assignments"].append({"principal": "operator", "role": "Reader", "scope": SCOPE})
    with desk(rendered, project_python, folder, content) as found:
        found.mlops("connect", "--yes", "--no-wait")
        found.github.environments["staging"].secrets = {"MLOPS_WEBHOOK": WEBHOOK}
        yield found


def test_all_is_there_after_connect(connected: Desk) -> None:
    """It says so on few lines, changes nothing, and shows no secret."""
    before, calls, asked = read_files(connected.project), len(connected.github.calls), len(connected.azure.calls())
    said = connected.doctor()
    assert said.code == 0, said.text
    assert said.last_line == READY
    assert "[ ]" not in said.text
    assert len(said.text.splitlines()) < 25, said.text
    assert max(map(len, said.text.splitlines())) <= 100
    assert "GitHub: octo/credit-risk, as alice" in said.text
    assert connected.bench.changes(calls) == []
    assert connected.azure.changes(asked, "/subscriptions/") == name_checks(connected, asked)
    assert changed_files(connected, before) == []
    assert WEBHOOK not in said.text + connected.doctor("--json").text


def name_checks(connected: Desk, asked: int) -> list[str]:
    """Return the questions whether a name is free: POST, but they change nothing."""
    return [
        call for call in connected.azure.changes(asked, "/subscriptions/") if call.endswith("checkNameAvailability")
    ]


def changed_files(connected: Desk, before: dict[str, bytes]) -> list[str]:
    """Return which files differ, except caches and git's cache of what it saw."""
    after = read_files(connected.project)
    names = {name for name in before.keys() | after.keys() if before.get(name) != after.get(name)}
    return sorted(name for name in names if "__pycache__" not in name and name != ".git/index")


Plant = Callable[[Desk], AbstractContextManager[object]]


@contextmanager
def set_to(owner: Any, **values: Any) -> Iterator[None]:
    """Set attributes until the block ends."""
    before = {name: getattr(owner, name) for name in values}
    for name, value in values.items():
        setattr(owner, name, value)
    try:
        yield
    finally:
        for name, value in before.items():
            setattr(owner, name, value)


def in_file(name: str, old: str, new: str) -> Plant:
    return lambda here: edited(here.project / name, old, new)


def on_github(**values: Any) -> Plant:
    return lambda here: set_to(here.github, **values)


def in_repository(**values: Any) -> Plant:
    return lambda here: set_to(here.github.repository, **values)


def in_environment(name: str, **values: Any) -> Plant:
    return lambda here: set_to(here.github.environments[name], **values)


@contextmanager
def without_environment(here: Desk) -> Iterator[None]:
    kept = here.github.environments
    here.github.environments = {name: one for name, one in kept.items() if name != "staging-plan"}
    yield
    here.github.environments = kept


@contextmanager
def actions_off(here: Desk) -> Iterator[None]:
    with set_to(here.github, actions={**here.github.actions, "": {"enabled": False}}):
        yield


@contextmanager
def without_program(name: str, here: Desk) -> Iterator[None]:
    program = here.bench.folder / "bin" / name
    hidden = program.rename(program.with_suffix(".hidden"))
    yield
    hidden.rename(program)


@contextmanager
def logged_in(scopes: tuple[str, ...] | None, here: Desk) -> Iterator[None]:
    """Give the person another login, or none."""
    kept = here.github.tokens.pop(TOKEN)
    if scopes:
        here.github.tokens[TOKEN] = replace(kept, scopes=scopes)
    yield
    here.github.tokens[TOKEN] = kept


@contextmanager
def unpushed(here: Desk) -> Iterator[None]:
    git(here.project, "commit", "--quiet", "--allow-empty", "--message", "Mine")
    yield
    git(here.project, "reset", "--quiet", "--soft", "HEAD~1")


@contextmanager
def fault(kind: str, match: str, here: Desk) -> Iterator[None]:
    here.azure.plant(kind, match, count=1000)
    yield
    here.azure.clear_faults()  # also those of the round's other causes, which have had their effect


@contextmanager
def trusting(environment: str, here: Desk) -> Iterator[None]:
    """Let an identity trust the tokens of another repository."""
    right = f"repo:octo@34/credit-risk@7001:environment:{environment}"
    wrong = right.replace("7001", "6000")
    here.azure.trust(right, wrong)
    yield
    here.azure.trust(wrong, right)


@contextmanager
def without_role(identity: str, role: str, scope: str, here: Desk) -> Iterator[None]:
    principal = here.principals.get(identity, identity)
    here.azure.assign(principal, role, scope, None)
    yield
    here.azure.assign(principal, role, scope, 0)


@contextmanager
def on_azure(path: str, bad: dict[str, Any], good: dict[str, Any], here: Desk) -> Iterator[None]:
    here.azure.put({path: bad})
    yield
    here.azure.put({path: good})


ML = "Microsoft.MachineLearningServices"
STATE = name_of("state_storage", "production")
NO_AZ, NO_GH = partial(without_program, "az"), partial(without_program, "gh")
NO_READER = partial(without_role, "operator", "Reader", SCOPE)
NO_STAGING = f"^GET .*/mlw-{PREFIX}-staging$"
FREE = {"quotaId": "FreeTrial_2014-09-01"}
# Causes that do not hide each other: the code, what the screen says about it, and the cause.
Round = list[tuple[str, str, Plant]]
MISSING: dict[str, Round] = {
    "no right login": [
        ("AZ100", "Python: 3", in_file("pyproject.toml", '">=3.11,<3.14"', '"<3.9"')),
        ("AZ101", "Packages: click 8.5.1, not 1.0", in_file("requirements.txt", "click==8.5.1", "click==1.0")),
        ("AZ102", "terraform: terraform is not on the PATH", partial(without_program, "terraform")),
        ("AZ110", "login: gh's login lacks the scopes workflow", partial(logged_in, ("repo",))),
        (
            "AZ120",
            "login: not checked: waits for Azure: `az` is not logged in",
            partial(fault, "logged-out", "^AZ account"),
        ),
        ("AZ007", "azure.network is private", in_file("project.yml", "network: public", "network: private")),
    ],
    "no login": [
        (
            "AZ101",
            "no-such-package is missing",
            in_file("requirements.txt", "click==8.5.1", "no-such-package==1"),
        ),
        (
            "AZ102",
            "is not >= 99",
            in_file("infra/versions.tf", '">= 1.9"', '">= 99"'),
        ),
        ("AZ102", "az: az is not on the PATH", NO_AZ),
        ("AZ110", "login: not checked: GitHub refused GET user: Bad credentials", partial(logged_in, None)),
        ("AZ120", "login: not checked: waits for Azure: az is not on the PATH", NO_AZ),
    ],
    "no gh, and gaps on Azure": [
        ("AZ102", "gh: gh is not on the PATH", NO_GH),
        ("AZ110", "login: gh is not on the PATH", NO_GH),
        (
            "AZ123",
            "Roles of production-plan: its identity lacks Reader",
            partial(without_role, f"id-{PREFIX}-production-plan", "Reader", f"{GROUP}-production"),
        ),
        ("AZ124", "State of production: does not exist", partial(fault, "not-found", f"^GET /storage/{STATE}")),
        (
            "AZ125",
            "Workspace of staging: does not exist",
            partial(fault, "not-found", NO_STAGING),
        ),
        (
            "AZ095",
            "does not build images",
            partial(on_azure, "", FREE, {"quotaId": "x"}),
        ),
    ],
    "gaps on GitHub, and closed doors on Azure": [
        ("AZ111", "Default branch: make main the default", in_repository(default_branch="trunk")),
        ("AZ111", "Push: git push origin main", unpushed),
        ("AZ111", "Actions: run only actions that are pinned", actions_off),
        ("AZ112", "Environment production-infra: protect it", in_environment("production-infra", reviewers=())),
        ("AZ112", "Environment staging: protect it: only branch main", in_environment("staging", branches=None)),
        ("AZ112", "Environment staging-plan: create it", without_environment),
        (
            "AZ113",
            "Login of staging-plan, production-infra: set AZURE_CLIENT_ID",
            in_environment("production-infra", variables={}),
        ),
        ("AZ121", "Azure for staging: terraform apply of infra/bootstrap", partial(trusting, "staging-plan")),
        ("AZ122", "Infrastructure: set AZURE_READY", on_github(variables={})),
        (
            "AZ124",
            "State of production: not checked: this identity may not read it",
            partial(fault, "forbidden", f"^GET /storage/{STATE}"),
        ),
        (
            "AZ125",
            "Workspace of staging: not checked: this identity may not read it",
            partial(fault, "forbidden", NO_STAGING),
        ),
        ("AZ126", "may not read quota", partial(fault, "forbidden", "^GET .*/usages$")),
    ],
    "too few rights": [
        ("AZ111", "Repository: alice may not administer", in_repository(roles={PERSON: "write"})),
        ("AZ122", "CI's identity of production trusts other tokens: start", partial(trusting, "production")),
        ("AZ123", "Roles: not checked: az role assignment failed", NO_READER),
        ("AZ126", "may not read the offer", NO_READER),
    ],
}
WARNINGS: Round = [
    ("AZ114", "First training: start the workflow", on_github(runs=[])),
    ("AZ115", "Environment production: other branches", in_environment("production", branches=("main", "release/*"))),
    ("AZ115", "administrators may bypass its approval", in_environment("production", can_admins_bypass=True)),
    ("AZ116", "Rules for main: require a pull request", on_github(rulesets=[])),
    ("AZ117", "Webhook: staging has no secret MLOPS_WEBHOOK", in_environment("staging", secrets={})),
    (
        "AZ093",
        "Microsoft.KeyVault is not registered",
        partial(
            on_azure,
            "/providers/Microsoft.KeyVault",
            {"registrationState": "NotRegistered"},
            {"registrationState": "Registered"},
        ),
    ),
]


@pytest.mark.parametrize("causes", [*MISSING.values(), WARNINGS], ids=[*MISSING, "warnings"])
def test_each_finding_comes_with_its_cause_and_goes_with_it(connected: Desk, causes: Round) -> None:
    with ExitStack() as stack:
        planted: list[Plant] = []
        for _, _, plant in causes:
            if plant not in planted:
                stack.enter_context(plant(connected))
                planted.append(plant)
        said = connected.doctor()
    shown = " ".join(said.text.split())
    assert [text for _, text, _ in causes if text not in shown] == [], said.text
    assert set(re.findall(r"AZ\d+", shown)) == {code for code, _, _ in causes}, said.text
    assert said.code == int(causes is not WARNINGS)
    assert len(said.text.splitlines()) <= 45, said.text
    assert connected.doctor().last_line == READY


def test_every_online_code_is_found(connected: Desk) -> None:
    page = (connected.project / "docs" / "doctor.md").read_text(encoding="utf-8")
    found = {code for causes in (*MISSING.values(), WARNINGS) for code, _, _ in causes}
    assert set(re.findall(r"AZ1\d\d", page)) <= found


def test_an_ignored_finding_is_left_out_and_named(connected: Desk) -> None:
    with in_environment("production-infra", reviewers=())(connected):
        said = connected.doctor("--ignore", "AZ112")
        assert (said.code, said.last_line) == (0, f"{READY} Ignored: AZ112.")
        assert "AZ999 is not a code" in connected.mlops("doctor", "--online", "--ignore", "AZ999", code=2).text


def test_json_says_what_the_screen_says(connected: Desk) -> None:
    with (
        in_environment("production-infra", reviewers=())(connected),
        in_environment("staging", secrets={})(connected),
        partial(fault, "logged-out", "^AZ account")(connected),
    ):
        screen = connected.doctor().text
        said = connected.doctor("--json")
    content = json.loads(said.text)
    assert said.code == 1
    assert {key: content[key] for key in ("schema", "ready")} == {"schema": 1, "ready": False}
    checks = content["checks"]
    assert all(set(one) == {"area", "name", "ok", "code", "detail", "fix", "severity"} for one in checks)
    shown = " ".join(screen.split())
    for one in checks:
        assert one["area"] in screen
        assert one["name"].rpartition(" ")[2] in screen
        assert one["detail"] in shown
        assert one["fix"] in shown
    marks = [line[2:5] for line in screen.splitlines() if re.match(r"  \[.\]", line)]
    assert {"[x]", "[ ]", "[?]", "[!]"} == set(marks)
    errors = [one["ok"] for one in checks if one["severity"] == "error"]
    assert f"{errors.count(False)} missing, {errors.count(None)} not checked; " in screen


def test_a_fresh_project_fits_on_a_screen(render: Render, project_python: Path, tmp_path: Path) -> None:
    """Nothing is there yet but the logins."""
    content: dict[str, Any] = {
        "workspaces": {},
        "principals": [{"name": "operator", "id": "/operator", "client": "operator", "object": "operator"}],
        "assignments": [{"principal": "operator", "role": "Reader", "scope": SCOPE}],
    }
    with desk(render({"repository": REPOSITORY}), project_python, tmp_path, content) as fresh:
        before = read_files(fresh.project)
        said = fresh.doctor()
        print(said.text)
        assert said.code == 1
        assert len(said.text.splitlines()) <= 45
        assert "[!] Rules for main: require a pull request" in said.text
        assert re.search(r"\d+ missing, \d+ not checked; the first release needs all of it", said.last_line)
        assert fresh.bench.changes() == []
        assert changed_files(fresh, before) == []


def test_the_options_go_together(render: Render, project_python: Path) -> None:
    with warm_mlops(project_python, render({}), {}) as mlops:
        for words in (("--online", "--offline"), ("--json",), ("--json", "--offline")):
            assert "--online goes without --offline" in mlops("doctor", *words, code=2).text
        placeholder = mlops("doctor", "--online", code=1).text
    assert "login: The repository in project.yml is ORG/credit-risk" in " ".join(placeholder.split())
