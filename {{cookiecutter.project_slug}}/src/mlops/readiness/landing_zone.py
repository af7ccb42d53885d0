"""Check Azure: the login, the identities' roles, the state, the subscription and the workspaces."""

from __future__ import annotations

import os
from collections.abc import Collection, Iterator
from concurrent.futures import ThreadPoolExecutor
from functools import partial
from itertools import product
from typing import Final

from azure.storage.blob import ContainerClient

from mlops.azure.credential import make_credential
from mlops.azure.doctor import check_subscription
from mlops.azure.workspace import azure_errors, connect
from mlops.config import ENVIRONMENTS, Environment, Project
from mlops.connect.azure import CI, IDENTITIES, Azure
from mlops.connect.steps import Waits
from mlops.errors import MlopsError
from mlops.readiness.checks import PARALLEL, READER, Check, Checks, from_findings

ALL: Final = {**IDENTITIES, "": CI}  # by the suffix of their environments
# The roles that each identity has in every project, in its environment's groups or above them.
BLOBS: Final = "Storage Blob Data Contributor"
ROLES: Final = {
    "terraform_identity": ("Contributor", "Role Based Access Control Administrator", BLOBS),
    "plan_identity": ("Reader", BLOBS, "Storage Blob Data Reader"),
    CI: ("AzureML Compute Operator", "AzureML Data Scientist", "Managed Identity Operator", BLOBS),
}
STATE: Final = "tfstate"
LATER: Final = {"Roles": "AZ123", "State": "AZ124", "Workspaces": "AZ125", "Subscription": "AZ126"}


def area_of(azure: Azure) -> str:
    """Return the heading: the subscription, if anybody is logged in."""
    try:
        account = azure.account()
    except MlopsError:
        return "Azure"
    return f"Azure: {account.name} ({account.subscription})"


def check(area: str, project: Project, azure: Azure, ignored: Collection[str]) -> Iterator[Check]:
    """Yield what Azure has, and lacks."""
    checks = Checks(area)
    login = checks.look("login", "AZ120", partial(_login, checks, azure))
    yield from login
    if not login[0].ok:
        for name, code in LATER.items():
            yield checks.unseen(name, code, "it needs the login", "")
        return
    # Names are made of it, and the checks below read it there.
    os.environ["AZURE_SUBSCRIPTION_ID"] = azure.account().subscription
    yield from checks.look("Roles", "AZ123", partial(_roles, checks, azure))
    for name in ENVIRONMENTS:
        state = partial(_state, project, azure, name)
        yield from checks.look(f"State of {name}", "AZ124", state)
        workspace = partial(_workspace, project, name)
        yield from checks.look(f"Workspace of {name}", "AZ125", workspace)
    subscription = partial(_subscription, checks, project, ignored)
    yield from checks.look("Subscription", "AZ126", subscription)


def _login(checks: Checks, azure: Azure) -> Iterator[Check]:
    azure.account()
    yield checks.good("login", "AZ120", "of az")


def _roles(checks: Checks, azure: Azure) -> Iterator[Check]:
    """Check that each identity has the roles without which it can do nothing."""
    look = partial(_roles_of, checks, azure, azure.roles())
    with ThreadPoolExecutor(PARALLEL) as pool:
        yield from pool.map(look, *zip(*product(ENVIRONMENTS, ALL), strict=True))


def _roles_of(
    checks: Checks, azure: Azure, assigned: list[dict[str, str]], environment: str, suffix: str
) -> Check:
    """Compare the roles of an identity with those that it needs."""
    name, key = f"Roles of {environment}{suffix}", ALL[suffix]
    built_by = "infra/bootstrap/" if suffix else "infra/"
    found = azure.identity(environment, key)
    if found is None:
        return checks.unseen(name, "AZ123", f"{built_by} makes its identity", "")
    own = [one for one in assigned if one["principalId"] == found["principalId"]]
    has = {one["roleDefinitionName"] for one in own if _is_about(one["scope"], azure, environment)}
    missing = [role for role in ROLES[key] if role not in has]
    if not missing:
        return checks.good(name, "AZ123")
    fix = f"Apply {built_by} to {environment} again (docs/infrastructure.md)."
    return checks.bad(name, "AZ123", f"its identity lacks {', '.join(missing)}", fix)


def _is_about(scope: str, azure: Azure, environment: str) -> bool:
    """Return whether an assignment is in one of an environment's groups, or above it."""
    scope = f"{scope.rstrip('/')}/".lower()
    for key in ("resource_group", "state_group"):
        name = azure.settings.resource(key, environment)
        group = f"/subscriptions/{azure.account().subscription}/resourceGroups/{name}/".lower()
        if scope.startswith(group) or group.startswith(scope):
            return True
    return False


def _state(project: Project, azure: Azure, environment: Environment) -> None:
    """Check that this machine reaches the storage of Terraform's state.

    Raises
    ------
    MlopsError
        It does not.
    """
    if azure.identity(environment, "terraform_identity") is None:
        raise Waits("infra/bootstrap/ makes its storage")
    account = project.azure.name("state_storage", environment)
    url, login = f"https://{account}.blob.core.windows.net", make_credential()
    with azure_errors(f"reach {STATE} in {account}"):
        client = ContainerClient(url, STATE, login, retry_total=1, initial_backoff=1)
        with client as container:
            container.get_container_properties()


def _subscription(checks: Checks, project: Project, ignored: Collection[str]) -> Iterator[Check]:
    """Check names, quota, providers and the offer."""
    findings, unread = check_subscription(project, ignored)
    if unread:
        why = f"this identity may not read {', '.join(unread)}"
        yield checks.unseen("Subscription", "AZ126", why, READER)
    if findings or not unread:
        yield from from_findings(checks.area, "names, providers, quota and offer", findings)


def _workspace(project: Project, environment: Environment) -> None:
    connect(project, environment)
