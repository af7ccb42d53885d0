"""Azure role-based access control: who may do what, where, and from when.

Sources, all in MicrosoftDocs/azure-docs, articles/role-based-access-control: built-in-roles/*.md (the roles, as far as
the projects need them), scope-overview.md (a role applies to everything below its scope), role-definitions.md
(NotActions subtract from a role's own actions, and deny nothing), troubleshooting.md (assignments take effect late).
"""

import re
import threading
import time
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, replace
from typing import Any

ML = "Microsoft.MachineLearningServices/workspaces"
BLOBS = "Microsoft.Storage/storageAccounts/blobServices/containers"
COMMON = (
    "Microsoft.Authorization/*/read",
    "Microsoft.Insights/alertRules/*",
    "Microsoft.Resources/deployments/*",
    "Microsoft.Resources/subscriptions/resourceGroups/read",
    "Microsoft.Support/*",
)


@dataclass(frozen=True)
class Role:
    """What a role allows; data actions are those on the content of a resource."""

    actions: tuple[str, ...]
    not_actions: tuple[str, ...] = ()
    data_actions: tuple[str, ...] = ()

    def allows(self, action: str, data: bool) -> bool:
        granted = self.data_actions if data else self.actions
        return _matches(granted, action) and (data or not _matches(self.not_actions, action))


ROLES = {
    # ai-machine-learning.md
    "AzureML Data Scientist": Role(
        tuple(f"{ML}/*/{kind}" for kind in ("read", "action", "delete", "write")),
        (
            f"{ML}/delete",
            f"{ML}/write",
            f"{ML}/computes/*/write",
            f"{ML}/computes/*/delete",
            f"{ML}/computes/listKeys/action",
            f"{ML}/listKeys/action",
            f"{ML}/hubs/write",
            f"{ML}/hubs/delete",
            f"{ML}/featurestores/write",
            f"{ML}/featurestores/delete",
        ),
    ),
    # https://www.azadvertizer.net/azrolesadvertizer/b556d68e-0be0-4f35-a333-ad7ee1ce17ea.html
    "Azure AI Enterprise Network Connection Approver": Role(
        (
            *(
                f"{resource}/{action}"
                for resource in ("Microsoft.ContainerRegistry/registries", "Microsoft.KeyVault/vaults", ML)
                for action in (
                    "privateEndpointConnections/read",
                    "privateEndpointConnections/write",
                    "privateEndpointConnectionsApproval/action",
                )
            ),
            "Microsoft.Storage/storageAccounts/privateEndpointConnections/read",
            "Microsoft.Storage/storageAccounts/privateEndpointConnections/write",
        )
    ),
    "AzureML Compute Operator": Role((f"{ML}/computes/*", f"{ML}/notebooks/vm/*")),
    # storage.md
    "Storage Blob Data Contributor": Role(
        (
            f"{BLOBS}/delete",
            f"{BLOBS}/read",
            f"{BLOBS}/write",
            "Microsoft.Storage/storageAccounts/blobServices/generateUserDelegationKey/action",
        ),
        data_actions=(
            f"{BLOBS}/blobs/delete",
            f"{BLOBS}/blobs/read",
            f"{BLOBS}/blobs/write",
            f"{BLOBS}/blobs/move/action",
            f"{BLOBS}/blobs/add/action",
        ),
    ),
    "Storage Blob Data Reader": Role(
        (f"{BLOBS}/read", "Microsoft.Storage/storageAccounts/blobServices/generateUserDelegationKey/action"),
        data_actions=(f"{BLOBS}/blobs/read",),
    ),
    # containers.md
    "AcrPull": Role(("Microsoft.ContainerRegistry/registries/pull/read",)),
    "AcrPush": Role(
        ("Microsoft.ContainerRegistry/registries/pull/read", "Microsoft.ContainerRegistry/registries/push/write")
    ),
    # https://www.azadvertizer.net/azrolesadvertizer/577a9874-89fd-4f24-9dbd-b5034d0ad23a.html
    "Container Registry Data Importer and Data Reader": Role(
        tuple(f"Microsoft.ContainerRegistry/registries/{one}" for one in ("importImage/action", "pull/read", "read"))
    ),
    # The pages that could be read are older than this role and the next one. Their actions are those that other pages
    # and bug reports name; the checklist of docs/azure.md has them compared with Azure's.
    "Container Registry Tasks Contributor": Role(
        (
            "Microsoft.ContainerRegistry/registries/read",
            "Microsoft.ContainerRegistry/registries/listBuildSourceUploadUrl/action",
            "Microsoft.ContainerRegistry/registries/scheduleRun/action",
            "Microsoft.ContainerRegistry/registries/runs/*",
            "Microsoft.ContainerRegistry/registries/tasks/*",
        )
    ),
    "Azure Container Instances Contributor Role": Role((*COMMON, "Microsoft.ContainerInstance/containerGroups/*")),
    # identity.md, networking.md, management-and-governance.md, general.md, privileged.md
    "Managed Identity Operator": Role(
        (
            *COMMON,
            "Microsoft.ManagedIdentity/userAssignedIdentities/*/read",
            "Microsoft.ManagedIdentity/userAssignedIdentities/*/assign/action",
        )
    ),
    "Network Contributor": Role((*COMMON, "Microsoft.Network/*")),
    "Tag Contributor": Role(
        (
            *COMMON,
            "Microsoft.Resources/subscriptions/resourceGroups/resources/read",
            "Microsoft.Resources/subscriptions/resources/read",
            "Microsoft.Resources/tags/*",
        )
    ),
    # web-and-mobile.md
    "Web Plan Contributor": Role(
        (
            *COMMON,
            "Microsoft.Web/serverFarms/*",
            "Microsoft.Web/hostingEnvironments/Join/Action",
            "Microsoft.Insights/autoscalesettings/*",
        )
    ),
    # containers.md
    "Azure Kubernetes Service Cluster User Role": Role(
        tuple(
            f"Microsoft.ContainerService/managedClusters/{one}" for one in ("listClusterUserCredential/action", "read")
        )
    ),
    "Azure Kubernetes Service Cluster Admin Role": Role(
        tuple(
            f"Microsoft.ContainerService/managedClusters/{one}"
            for one in (
                *("listClusterAdminCredential/action", "accessProfiles/listCredential/action"),
                *("read", "runcommand/action"),
            )
        )
    ),
    # privileged.md, management-and-governance.md
    "Role Based Access Control Administrator": Role(
        (
            "Microsoft.Authorization/roleAssignments/write",
            "Microsoft.Authorization/roleAssignments/delete",
            "*/read",
            "Microsoft.Support/*",
        )
    ),
    "Locks Contributor": Role(("Microsoft.Authorization/locks/*",)),
    "Reader": Role(("*/read",)),
    "Contributor": Role(
        ("*",),
        (
            "Microsoft.Authorization/*/Delete",
            "Microsoft.Authorization/*/Write",
            "Microsoft.Authorization/elevateAccess/Action",
        ),
    ),
}


@dataclass(frozen=True)
class Assignment:
    """A role of an identity over a scope and everything below it."""

    principal: str
    role: str
    scope: str
    since: float = 0  # seconds since 1970

    def __post_init__(self) -> None:
        if self.role not in ROLES:
            raise ValueError(f"the double does not know the role {self.role}")

    def allows(self, need: "Need") -> bool:
        below = f"{need.scope}/".lower().startswith(f"{self.scope.rstrip('/')}/".lower())
        return below and self.since <= time.time() and ROLES[self.role].allows(need.action, need.data)


@dataclass(frozen=True)
class Need:
    """An action on a resource.

    Attributes
    ----------
    data :
        Whether it is on the resource's content.
    linked :
        Whether the resource is only named in a change of another one.
    """

    action: str
    scope: str
    data: bool = False
    linked: bool = False


@dataclass(frozen=True)
class Principal:
    """An identity of the landing zone: its resource's name and id, its client id and its object id."""

    name: str
    id: str
    client: str
    object: str


def needed(method: str, path: str) -> Need:
    """Return what a request to Resource Manager needs."""
    if method == "POST":  # an action of the resource above
        return Need(f"{resource_type(path)}/action", path.rpartition("/")[0])
    kind = {"GET": "read", "HEAD": "read", "DELETE": "delete"}.get(method, "write")
    return Need(f"{resource_type(path)}/{kind}", path)


def resource_type(path: str) -> str:
    """Return a resource's type from its path: every second segment after the provider's name."""
    _, found, tail = path.rpartition("/providers/")
    if not found:
        return "Microsoft.Resources/subscriptions/resourceGroups"
    provider, *segments = tail.split("/")
    return "/".join([provider, *segments[::2]])


@dataclass(frozen=True)
class Federation:
    """A federated credential: whose tokens an identity trusts."""

    client: str
    issuer: str
    subject: str


class Access:
    """The identities of a landing zone and their roles; without a landing zone, everybody may do everything."""

    def __init__(self, content: Mapping[str, Any] | None = None) -> None:
        content = content or {}
        self.enforced = bool(content)
        self.principals = [Principal(**given) for given in content.get("principals", [])]
        self.federations = [Federation(**given) for given in content.get("federations", [])]
        self.log: list[tuple[str, Need, bool]] = []  # who needed what, and whether it was allowed
        self._assignments = [Assignment(**given) for given in content.get("assignments", [])]
        self._lock = threading.Lock()

    @property
    def assignments(self) -> list[Assignment]:
        """Return the assignments that have begun."""
        with self._lock:
            return [one for one in self._assignments if one.since <= time.time()]

    def find(self, name: str) -> Principal | None:
        """Return an identity by the name or the id of its resource."""
        return next((one for one in self.principals if name.lower() in (one.name.lower(), one.id.lower())), None)

    def missing(self, principal: str, needs: Iterable[Need]) -> Need | None:
        """Return the first need for which an identity, by its object id, has no role; log what it needs."""
        if not self.enforced:
            return None
        with self._lock:
            own = [one for one in self._assignments if one.principal == principal]
            for need in needs:
                allowed = any(one.allows(need) for one in own)
                self.log.append((principal, need, allowed))
                if not allowed:
                    return need
        return None

    def change(self, content: Mapping[str, Any]) -> None:
        """Replace an identity's role over a scope by one with another start, or by none."""
        given = Assignment(**{"since": 0, **content})
        key = (given.principal, given.role, given.scope)
        with self._lock:
            kept = [one for one in self._assignments if (one.principal, one.role, one.scope) != key]
            self._assignments = kept + [given] * (content.get("since") is not None)

    def trust(self, old: str, new: str) -> None:
        """Replace the subject of a federated credential."""
        with self._lock:
            self.federations = [replace(one, subject=new) if one.subject == old else one for one in self.federations]


def _matches(patterns: Iterable[str], action: str) -> bool:
    return any(_regex(pattern).fullmatch(action) for pattern in patterns)


def _regex(pattern: str) -> re.Pattern[str]:
    """Return the meaning of a pattern.

    `/*/` also stands for `/`: `workspaces/*/read` includes `workspaces/read`, and the action
    `userAssignedIdentities/assign/action` is documented as `userAssignedIdentities/*/assign/action`.
    """
    text = re.escape(pattern).replace(r"/\*/", "/(?:.*/)?").replace(r"\*", ".*")
    return re.compile(text, re.IGNORECASE)
