"""Terraform's roles and the command line, proved against each other: enough for every verb, and none too many."""

import re
import subprocess
import time
from collections.abc import Iterator
from contextlib import ExitStack
from dataclasses import dataclass, field
from functools import partial
from pathlib import Path
from typing import Any

import pytest
from azure_landing import landing_zone_of
from azure_project import ADDRESS, MODEL, PREFIX, Lab, azure_lab, configure
from doubles.roles import ROLES, Assignment, Need
from doubles.terraform.client import Terraform
from landing_zone import CONNECTIONS, ENVIRONMENTS, LANDING_ZONES, apply_both, name_of, trusting
from rendering import Render
from variants.findings import Answers
from warm_mlops import Mlops, warm_mlops

CI = {environment: f"id-{PREFIX}-{environment}-ci" for environment in ENVIRONMENTS}
JOBS = {environment: f"id-{PREFIX}-{environment}" for environment in ENVIRONMENTS}
ALWAYS = (("private", "managed"), ("public", "aci-aks"))


def _is_always_run(variant: Answers) -> bool:
    return (variant["network"], variant["serving"]) in ALWAYS


VARIANTS = [
    pytest.param(
        variant,
        id=name_of(variant),
        marks=() if "github" in variant["ci_cd"] and _is_always_run(variant) else pytest.mark.exhaustive,
    )
    for variant in LANDING_ZONES
]


@dataclass
class Office:
    """A project in Azure, used by the identities that Terraform made, each with Terraform's roles.

    Attributes
    ----------
    client :
        The client id of each environment's CI identity.
    assignments :
        Each identity's roles, by the identity's name.
    environment :
        The variables of a job of staging's CI.
    needs :
        What each verb needed, by verb and identity.
    trained :
        How many rows each training used: uploaded, of the first file on Azure, of both when the schedule came.
    """

    lab: Lab
    ci: dict[str, Mlops]
    client: dict[str, str]
    assignments: dict[str, list[Assignment]]
    environment: dict[str, str]
    needs: dict[str, dict[str, set[Need]]] = field(default_factory=dict)
    trained: list[int] = field(default_factory=list)

    def run(self, verb: str, environment: str, *arguments: str, codes: tuple[int, ...] = (0,)) -> str:
        """Run a verb as the CI identity of an environment; remember what it needed."""
        before = len(self.lab.azure.needs())
        said = self.ci[environment].attempt(*arguments, "--on", "azureml")
        assert said.code in codes, said.text
        by_identity = self.needs.setdefault(verb, {})
        for who, need, allowed in self.lab.azure.needs()[before:]:
            assert allowed, f"{who} may not {need['action']} on {need['scope']}"
            by_identity.setdefault(who, set()).add(Need(**need))
        return said.text


@pytest.fixture(scope="module", params=VARIANTS)
def office(
    request: pytest.FixtureRequest,
    render: Render,
    terraform: Terraform,
    project_python: Path,
    tmp_path_factory: pytest.TempPathFactory,
) -> Iterator[Office]:
    """Both environments applied, and the whole story of a model: trained, released, replaced, rolled back."""
    variant: Answers = {**request.param, "batch_endpoint": "yes"}
    project, folder = render(variant), tmp_path_factory.mktemp("office")
    zones = apply_both(
        terraform, project, folder, "infra", partial(trusting, variant), lambda copied: configure(copied, scale)
    )
    zone_content = landing_zone_of(zones)
    with ExitStack() as stack:
        lab = stack.enter_context(azure_lab(project, project_python, folder, scale, zone_content))
        clients = {one["name"]: one["client"] for one in zone_content["principals"]}
        ci, jobs = {}, []
        for environment, zone in zip(ENVIRONMENTS, zones, strict=True):
            job = job_of(lab, zone.outputs()["federated_subject"], clients[CI[environment]])
            login = {"DOUBLE_LOGIN": CI[environment]}  # az is logged in as the same identity
            variables = {**lab.azure.environment, **login, **job}
            jobs.append(variables)
            ci[environment] = stack.enter_context(warm_mlops(project_python, lab.mlops.root, variables))
        names = {one["object"]: one["name"] for one in zone_content["principals"]}
        assignments: dict[str, list[Assignment]] = {}
        for given in zone_content["assignments"]:
            assignments.setdefault(names[given["principal"]], []).append(Assignment(**given))
        made = Office(lab, ci, {where: clients[name] for where, name in CI.items()}, assignments, jobs[0])
        tell_the_story(made, zones[1].outputs())
        yield made


def job_of(lab: Lab, subject: str, client: str) -> dict[str, str]:
    """Return the variables of a job with a subject, on GitHub or on Azure Pipelines."""
    if subject.startswith("repo:"):
        return lab.azure.github_job(subject, client)
    return lab.azure.pipelines_job(subject.rpartition("/")[2], client)


def tell_the_story(office: Office, outputs: dict[str, Any]) -> None:
    replaced = ("--replace-champion", "the sample is small")
    if command := outputs.get("attach"):
        subprocess.run(command.split(), env=office.lab.azure.environment, check=True, stdout=subprocess.DEVNULL)
    for version, first, last in (("1", 0, 1000), ("2", 1000, 1200)):
        configure(office.lab.mlops.root, partial(resize, int(version) + 2))
        office.run("run", "staging", "run", *replaced)
        office.run("deploy staging", "staging", "deploy", "staging", "--version", version)
        office.run("deploy production", "production", "deploy", "production", "--version", version, "--yes")
        office.lab.add_rows(f"{version}.csv", first, last)
        configure(office.lab.mlops.root, lambda content: content["azure"].update(data=ADDRESS))
        office.trained.append(office.lab.training()["rows"])
    office.run("score", "production", "score", "data/credit.csv")
    office.run("rollback", "production", "rollback")
    office.run("run --schedule", "staging", "run", "--schedule")
    job = office.lab.trigger(f"{MODEL}-retrain", office.environment)
    office.run("run", "staging", "run", "--job", job, codes=(0, 3))
    office.trained.append(office.lab.training()["rows"])


def scale(content: dict[str, Any]) -> None:
    """Let production's endpoint scale, where it is managed."""
    if content["serving"]["production"]["target"] == "managed":
        content["serving"]["production"]["max_instances"] = 2


def resize(nodes: int, content: dict[str, Any]) -> None:
    """Change the size of the cluster in project.yml."""
    content["azure"]["compute"]["nodes"] = nodes


def test_the_roles_suffice_for_the_whole_story(office: Office) -> None:
    assert office.lab.stages(1) == ("production", "production")
    assert office.lab.stages(2) == ("withdrawn", "withdrawn")
    assert office.trained[1] < office.trained[2] == office.trained[0]  # the schedule saw the rows that were added
    assert set(office.needs) == {*("run", "run --schedule", "deploy staging", "deploy production", "rollback", "score")}


def test_no_role_of_ci_or_the_jobs_is_needless(office: Office) -> None:
    """Each is the only one that allows something which a verb needed."""
    needless = []
    for name in (*CI.values(), *JOBS.values()):
        needs = {need for by_identity in office.needs.values() for need in by_identity.get(name, ())}
        for role in office.assignments[name]:
            others = [other for other in office.assignments[name] if other != role]
            if not any(role.allows(need) and not any(other.allows(need) for other in others) for need in needs):
                needless.append((name, role.role, role.scope))
    assert needless == []


def test_the_page_lists_what_every_command_needs(office: Office) -> None:
    """docs/permissions.md holds the recorded actions of the variants that `make test` runs."""
    root = office.lab.mlops.root
    serving = "managed" if (root / "azureml" / "managed").is_dir() else "aci-aks"
    network = "private" if (root / "infra" / "network_private.tf").is_file() else "public"
    if (network, serving) not in ALWAYS:
        pytest.skip("the page has no table of it")
    page = (root / "docs" / "permissions.md").read_text(encoding="utf-8")
    section = page.partition(f"## serving: {serving}, network: {network}\n")[2].partition("\n## ")[0]
    assert section.strip().splitlines() == table(office.needs)


def table(needs: dict[str, dict[str, set[Need]]]) -> list[str]:
    """Return the page's table: a row for each type of resource, a column for each command and identity."""
    columns = [(verb, who) for verb, by_identity in needs.items() for who in by_identity]
    cells: dict[str, dict[tuple[str, str], set[str]]] = {}
    for verb, who in columns:
        for need in needs[verb][who]:
            kind, _, action = need.action.removesuffix("/action").rpartition("/")
            cells.setdefault(kind.removeprefix("Microsoft."), {}).setdefault((verb, who), set()).add(action)
    roles = {**dict.fromkeys(JOBS.values(), ", the jobs"), **dict.fromkeys(CI.values(), "")}
    heads = [f"`{verb}`{roles.get(who, ', the build')}" for verb, who in columns]
    lines = [["resource", *heads], ["---"] * (len(columns) + 1)]
    for kind, found in sorted(cells.items()):
        lines.append([f"`{kind}`", *(", ".join(sorted(found.get(column, {"-"}))) for column in columns)])
    return [f"| {' | '.join(line)} |" if line[0] != "---" else "|---" * len(line) + "|" for line in lines]


def without(office: Office, name: str, role: str, part: str) -> Assignment:
    """Return the role of an identity over a scope whose path contains a part."""
    (found,) = [one for one in office.assignments[name] if one.role == role and part in one.scope]
    return found


@pytest.fixture
def another_image(office: Office) -> Iterator[None]:
    """Change what the image is built from."""
    file = office.lab.mlops.root / "requirements.txt"
    text = file.read_text("utf-8")
    file.write_text(f"{text}# {len(office.lab.azure.calls())}\n", encoding="utf-8")
    yield
    file.write_text(text, encoding="utf-8")


@pytest.mark.usefixtures("another_image")
def test_only_a_task_pushes_to_a_registry_without_public_access(office: Office) -> None:
    private = (office.lab.mlops.root / "infra" / "network_private.tf").is_file()
    configure(office.lab.mlops.root, lambda content: content["azure"].update(network="public"))
    said = office.ci["staging"]("run", "--on", "azureml", "--no-wait", code=int(private)).text
    configure(
        office.lab.mlops.root, lambda content: content["azure"].update(network="private" if private else "public")
    )
    assert ("denied: client with IP" in said) == private


@pytest.mark.usefixtures("another_image")
@pytest.mark.parametrize(
    ("role", "part", "words"),
    [
        ("AzureML Data Scientist", "/workspaces/", "AzureML Data Scientist"),
        ("Managed Identity Operator", "/userAssignedIdentities/", "Managed Identity Operator"),
        ("Storage Blob Data Contributor", "/storageAccounts/", "Storage Blob Data Contributor"),
        ("Container Registry Tasks Contributor", "/registries/", "Container Registry Tasks Contributor"),
    ],
)
def test_a_missing_role_is_named(office: Office, role: str, part: str, words: str) -> None:
    missing = without(office, CI["staging"], role, part)
    azure = office.lab.azure
    azure.assign(missing.principal, missing.role, missing.scope, None)
    configure(office.lab.mlops.root, partial(resize, 9))
    rows = office.lab.mlops.root / "data" / "credit.csv"
    fewer = rows.with_name(f"{len(azure.calls())}.csv")  # which must be uploaded
    fewer.write_text("".join(rows.read_text("utf-8").splitlines(keepends=True)[:-7]), encoding="utf-8")
    said = office.ci["staging"]("run", "--on", "azureml", "--no-wait", "--data", str(fewer), code=1).text
    azure.assign(missing.principal, missing.role, missing.scope, 0)
    assert words in said
    assert "Traceback" not in said


def test_a_role_that_was_just_granted_takes_effect_late(office: Office) -> None:
    late = without(office, CI["staging"], "AzureML Data Scientist", "/workspaces/")
    azure = office.lab.azure
    azure.assign(late.principal, late.role, late.scope, time.time() + 5)
    assert "ten minutes" in office.ci["staging"]("run", "--on", "azureml", "--no-wait", code=1).text
    time.sleep(5)
    office.ci["staging"]("run", "--on", "azureml", "--schedule")


def test_managed_endpoints_are_as_public_as_the_network(office: Office) -> None:
    infra = office.lab.mlops.root / "infra"
    expected = "disabled" if (infra / "network_private.tf").is_file() else "enabled"
    found = office.lab.resources()
    kinds = {path: one for path, one in found.items() if re.fullmatch(r".*/onlineendpoints/[^/]+", path)}
    assert kinds
    for properties in kinds.values():
        if not properties.get("compute"):  # those on AKS have private addresses
            assert properties["publicNetworkAccess"].lower() == expected


def test_a_release_outlives_its_tokens_and_its_login(office: Office, project_python: Path) -> None:
    """Each lives for three seconds: a login that is kept, as by `az login`, does not last to the end."""
    azure, deploy = office.lab.azure, ("deploy", "production", "--version", "1", "--on", "azureml", "--yes")
    azure.shorten(token=3, assertion=3)
    try:
        office.ci["production"](*deploy)
        az = {**azure.environment, "DOUBLE_LOGIN": CI["production"]}
        with warm_mlops(project_python, office.lab.mlops.root, az) as mlops:
            mlops.attempt("status", "--on", "azureml")
            time.sleep(4)
            said = mlops(*deploy, code=1).text
    finally:
        azure.shorten(token=3600, assertion=300)
    assert "Fix: Log in" in said


def test_a_job_of_another_environment_cannot_log_in(office: Office, project_python: Path) -> None:
    azure = office.lab.azure
    if "SYSTEM_OIDCREQUESTURI" in office.environment:
        variables = azure.pipelines_job(CONNECTIONS["staging"], office.client["production"])
        with warm_mlops(project_python, office.lab.mlops.root, {**azure.environment, **variables}) as mlops:
            assert "AADSTS700213" in mlops("status", "--on", "azureml", code=1).text
        return
    variables = azure.github_job("repo:ORG/credit-risk:pull_request", office.client["production"])
    with warm_mlops(project_python, office.lab.mlops.root, {**azure.environment, **variables}) as mlops:
        said = mlops("status", "--on", "azureml", code=1).text
    assert "AADSTS700213" in said
    assert "repo:ORG/credit-risk:pull_request" in said
    with warm_mlops(
        project_python, office.lab.mlops.root, {**azure.environment, **variables, "AZURE_CLIENT_ID": ""}
    ) as mlops:
        assert "AZURE_CLIENT_ID is not set in this job" in mlops("status", "--on", "azureml", code=2).text


def test_status_shows_what_an_identity_may_read(office: Office) -> None:
    """Staging's CI has no role in production."""
    said = office.ci["staging"]("status", "--on", "azureml", code=1).text
    assert re.search(r"^staging +(blue|green) +2 +100 % +healthy", said, re.MULTILINE)
    assert re.search(r"^production +- +- +- +unknown", said, re.MULTILINE)
    assert f"Could not reach the workspace mlw-{PREFIX}-production" in said


def test_the_doctor_says_what_it_may_not_read(office: Office) -> None:
    said = office.lab.mlops("doctor").text
    assert "Not checked, because this identity may not read it: the offer, providers, " in said
    assert f"Production: workspace mlw-{PREFIX}-production exists." in said


def test_the_double_knows_every_role_that_terraform_assigns(office: Office) -> None:
    assigned = {one.role for own in office.assignments.values() for one in own}
    assert assigned <= ROLES.keys()
