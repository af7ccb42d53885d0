"""Service connections: how pipelines log in to Azure, without a secret."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Final

from mlops.connect.azure import CI, IDENTITIES, Azure
from mlops.connect.azure_devops.api import Json, present, wait_for
from mlops.connect.azure_devops.checks import ONLY_MAIN, look_at_checks
from mlops.connect.azure_devops.project import Project
from mlops.connect.steps import Change, Waits
from mlops.errors import ConfigError, MlopsError
from mlops.naming import ENVIRONMENTS

SCHEME: Final = "WorkloadIdentityFederation"
PATH: Final = "serviceendpoint/endpoints"
SUFFIXES: Final = ("", *IDENTITIES)
NAMES: Final = tuple(f"{name}{suffix}" for suffix in SUFFIXES for name in ENVIRONMENTS)
STAND_IN: Final = "plan_identity"


@dataclass(frozen=True)
class Trust:
    """Who signs the tokens of a connection, and for whom."""

    issuer: str
    subject: str

    @property
    def hcl(self) -> str:
        """Return the value of Terraform's variable."""
        return f'{{ issuer = "{self.issuer}", subject = "{self.subject}" }}'


@dataclass(frozen=True)
class Connections:
    """The service connections of a project."""

    project: Project
    azure: Azure

    def find(self, name: str) -> Json | None:
        """Return a connection, or None if it does not exist.

        Raises
        ------
        MlopsError
            There is another of this name, or it failed.
        """
        self.project.need()
        listed = self.project.values(PATH, endpointNames=name, includeFailed="true")
        found = next((one for one in listed if one["name"].lower() == name), None)
        if found is None:
            return None
        fix = f"Delete it ({self.project.url}/_settings/adminservices), and connect again."
        if found["authorization"]["scheme"] != SCHEME:
            raise ConfigError(f"The service connection {name} logs in with a secret.", fix)
        state = found.get("operationStatus") or {}
        if str(state.get("state")).lower() == "failed":
            raise MlopsError(
                f"The service connection {name} failed: {state.get('statusMessage')}", fix
            )
        return found

    def need(self, name: str) -> Json:
        """Return a connection.

        Raises
        ------
        Waits
            It does not exist yet.
        """
        return present(self._ready(name), f"the service connection {name}")

    def trust(self, name: str) -> Trust:
        """Return what Azure has to trust; its form depends on the connection's age."""
        given = self.need(name)["authorization"]["parameters"]
        names = ("workloadIdentityFederationIssuer", "workloadIdentityFederationSubject")
        return Trust(*(str(given[one]) for one in names))

    def look(self, environment: str, suffix: str, is_built: bool = False) -> list[Change]:
        """Return what is left to do until a connection logs in as its identity.

        Parameters
        ----------
        is_built : bool
            Whether infra/ was applied, which makes CI's identity. Before, its connection names
            another, which does not trust it: the connection has to exist for infra/ to trust it.
        """
        name, key = f"{environment}{suffix}", IDENTITIES.get(suffix, CI)
        client = self.azure.client(environment, key)
        if client is None and not is_built:
            client = self.azure.client(environment, STAND_IN)
        if client is None:
            raise Waits("waits for the identity that Terraform creates")
        found = self.find(name)
        wanted = self._wanted(name, client)
        if found is None:
            return [Change("create it, without a secret", lambda: self._create(wanted))]
        changes = look_at_checks(self.project, "endpoint", found, [ONLY_MAIN])
        if not found["isReady"]:
            changes.append(Change("wait until it is ready", lambda: self._await(name)))
        if not _covers(found, wanted):
            text = f"let it log in as {self.project.settings.resource(key, environment)}"
            changes.append(Change(text, lambda: self._update(found, wanted)))
        return changes

    def _wanted(self, name: str, client: str) -> Json:
        account = self.azure.account()
        reference = {"name": name, "projectReference": self.project.reference()}
        return {
            "name": name,
            "type": "AzureRM",
            "url": "https://management.azure.com/",
            "data": {
                "subscriptionId": account.subscription,
                "subscriptionName": account.name,
                "environment": "AzureCloud",
                "scopeLevel": "Subscription",
                "creationMode": "Manual",
            },
            "authorization": {
                "scheme": SCHEME,
                "parameters": {"tenantid": account.tenant, "serviceprincipalid": client},
            },
            "isShared": False,
            "serviceEndpointProjectReferences": [reference],
        }

    def _create(self, wanted: Json) -> None:
        name = wanted["name"]
        self.project.will_create(f"the service connection {name}", f"connections/{name}")
        found = self.project.organization.call("POST", f"_apis/{PATH}", wanted)
        for change in look_at_checks(self.project, "endpoint", found, [ONLY_MAIN]):
            change.act()
        self._await(name)

    def _await(self, name: str) -> None:
        wait_for(f"the service connection {name}", lambda: self._ready(name))

    def _ready(self, name: str) -> Json | None:
        found = self.find(name)
        return found if found and found["isReady"] else None

    def _update(self, found: Json, wanted: Json) -> None:
        given = found["authorization"]
        parameters = {**given["parameters"], **wanted["authorization"]["parameters"]}
        body = {
            **found,
            "data": {**found["data"], **wanted["data"]},
            "authorization": {**given, "parameters": parameters},
        }
        self.project.organization.call("PUT", f"_apis/{PATH}/{found['id']}", body)
        self._await(wanted["name"])

    def remove(self, name: str) -> None:
        """Remove a connection, if it is there."""
        listed = self.project.values(PATH, endpointNames=name, includeFailed="true")
        for one in listed:
            path, project = f"_apis/{PATH}/{one['id']}", self.project.need()["id"]
            self.project.organization.call("DELETE", path, missing=None, projectIds=project)


def _covers(found: Json, wanted: Json) -> bool:
    def same(there: Mapping[str, str], here: Mapping[str, str], names: tuple[str, ...]) -> bool:
        return all(str(there.get(name)).lower() == here[name].lower() for name in names)

    return same(found["data"], wanted["data"], ("subscriptionId",)) and same(
        found["authorization"]["parameters"],
        wanted["authorization"]["parameters"],
        ("tenantid", "serviceprincipalid"),
    )
