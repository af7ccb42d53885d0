"""Check what the subscription lacks for project.yml: names, quota, providers, an offer that builds.

Whoever may not read a part of it is told so, and the rest is checked.
"""

from __future__ import annotations

import math
import re
from collections import Counter
from collections.abc import Callable, Iterator
from typing import Final, TypeVar

from azure.core.exceptions import HttpResponseError

from mlops.azure.doctor.documents import Document, Finding
from mlops.azure.resource_manager import Resource, ResourceManager
from mlops.azure.workspace import azure_errors, find
from mlops.config import ENVIRONMENTS, Environment, ManagedEndpoint, Project, subscription

Result = TypeVar("Result")

# The resources whose names all of Azure shares and can be asked for, with their groups.
NAMED: Final = {
    "storage": ("Microsoft.Storage", "storageAccounts", "resource_group"),
    "state_storage": ("Microsoft.Storage", "storageAccounts", "state_group"),
    "key_vault": ("Microsoft.KeyVault", "vaults", "resource_group"),
    "registry": ("Microsoft.ContainerRegistry", "registries", "resource_group"),
}
ML: Final = "Microsoft.MachineLearningServices"
PROVIDERS: Final = (
    ML,
    "Microsoft.ContainerRegistry",
    "Microsoft.KeyVault",
    "Microsoft.Storage",
)
# Offers whose registries build no images; "Azure offers that can be transferred" lists the ids.
WITHOUT_BUILDS: Final = ("FreeTrial_", "AzureForStudents_", "DreamSpark_")
RESERVE: Final = 1.2  # Azure ML's, for upgrades of managed endpoints
SLOTS: Final = 2  # both are served during a release


class Subscription:
    """Checks a subscription; ``unread`` names what the identity may not read."""

    def __init__(self, project: Project, settings: Document, manager: ResourceManager) -> None:
        self._project = project
        self._settings = settings
        self._manager = manager
        self._path = f"/subscriptions/{subscription()}"
        self.unread: list[str] = []

    def check(self) -> Iterator[Finding]:
        """Yield what a first run would stumble over."""
        yield from self._check_offer()
        yield from self._check_providers()
        for environment in ENVIRONMENTS:
            for resource in NAMED:
                yield from self._check_name(resource, environment)
        yield from self._check_quota()

    def _check_offer(self) -> Iterator[Finding]:
        found = self._read("the offer", lambda: self._get("", "subscriptions"))
        offer = str(((found or {}).get("subscriptionPolicies") or {}).get("quotaId"))
        if offer.startswith(WITHOUT_BUILDS):
            message = f"The subscription's offer {offer} does not build images in a registry."
            yield self._finding("AZ095", "region", message, "Use another subscription.")

    def _check_providers(self) -> Iterator[Finding]:
        for name in PROVIDERS:
            if self._state(name) not in ("Registered", "Registering", None):
                message = f"The provider {name} is not registered in the subscription."
                fix = f"Register it: az provider register --namespace {name}"
                yield self._finding("AZ093", "region", message, fix)

    def _state(self, provider: str) -> str | None:
        found = self._read("providers", lambda: self._get(f"/providers/{provider}", "providers"))
        return str(found["registrationState"]) if found else None

    def _check_name(self, resource: str, environment: Environment) -> Iterator[Finding]:
        """Check a name, unless the environment's own resource has it."""
        provider, kind, group = NAMED[resource]
        name = self._project.azure.name(resource, environment)
        group = f"/resourceGroups/{self._project.azure.name(group, environment)}"
        own = f"{group}/providers/{provider}/{kind}/{name}"
        if self._read("names", lambda: find(lambda: self._get(own, kind))):
            return
        body = {"name": name, "type": f"{provider}/{kind}"}
        ask = f"{self._path}/providers/{provider}/checkNameAvailability"
        found = self._read("names", lambda: self._manager.send("POST", ask, kind, body))
        if found is None or found["nameAvailable"]:
            return
        message = f"The name {name} of {environment}'s {kind} is not available: {found['message']}"
        yield self._finding("AZ090", "prefix", message, "Choose another azure.prefix.")
        if resource == "key_vault":
            region = self._project.azure.region
            gone = f"/providers/{provider}/locations/{region}/deletedVaults/{name}"
            if self._read("deleted vaults", lambda: find(lambda: self._get(gone, kind))):
                message = f"The vault {name} was deleted and can still be recovered."
                fix = f"Recover it: az keyvault recover --name {name}"
                yield self._finding("AZ091", "prefix", message, fix)

    def _check_quota(self) -> Iterator[Finding]:
        """Compare the cores of jobs and managed endpoints with what their families may use."""
        place = f"/providers/{ML}/locations/{self._project.azure.region}"
        sizes = self._read("sizes", lambda: self._get(f"{place}/vmSizes", "locations"))
        usages = self._read("quota", lambda: self._get(f"{place}/usages", "locations"))
        if not sizes or not usages:
            return
        known = {size["name"].lower(): size for size in sizes["value"]}
        limits = {
            _family(one["name"]["value"]): int(one["limit"])
            for one in usages["value"]
            if "dedicatedCores" in one["type"]
        }
        needed: Counter[str] = Counter()
        for size, machines in self._machines():
            if about := known.get(size.lower()):
                needed[_family(about["family"])] += machines * int(about["vCPUs"])
        for family, cores in needed.items():
            limit = limits.get(family, -1)
            if 0 <= limit < cores:
                message = (
                    f"project.yml needs up to {cores} cores of {family}; the quota is {limit}."
                )
                fix = "Request more (portal: Quotas), or use fewer or smaller machines."
                yield self._finding("AZ092", "compute", message, fix)

    def _machines(self) -> Iterator[tuple[str, int]]:
        """Yield each size that both environments use, and how many machines of it."""
        compute = self._project.azure.compute
        if compute.tier == "dedicated":
            yield compute.size, compute.nodes * len(ENVIRONMENTS)
        for environment in ENVIRONMENTS:
            wanted = self._project.endpoint(environment)
            if isinstance(wanted, ManagedEndpoint):
                most = wanted.max_instances or wanted.instances
                yield wanted.instance_type, SLOTS * math.ceil(RESERVE * most)

    def _get(self, path: str, kind: str) -> Resource:
        return self._manager.send("GET", f"{self._path}{path}", kind)

    def _read(self, what: str, look: Callable[[], Result]) -> Result | None:
        """Return what ``look`` reads; None and a note where the identity may not."""
        with azure_errors(f"check the subscription's {what}"):
            try:
                return look()
            except HttpResponseError as error:
                if error.status_code != 403:
                    raise
        if what not in self.unread:
            self.unread.append(what)
        return None

    def _finding(self, code: str, field: str, message: str, fix: str) -> Finding:
        return self._settings.finding(code, ("azure", field), message, fix)


def _family(name: str) -> str:
    """Return a family of sizes as sizes name it, from that or from the words of a quota."""
    return re.sub(r"cluster|dedicated|vcpus|\s", "", name.lower())
