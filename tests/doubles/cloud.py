"""What the double's services share: its parts, paths, and the handlers of a workspace's resources."""

import re
from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from doubles import errors
from doubles.faults import Faults
from doubles.identity import Identity
from doubles.images import HOST, Images
from doubles.operations import Operations
from doubles.processes import Processes
from doubles.roles import Access, Need
from doubles.storage import Storage
from doubles.store import ML, Resource, Store
from doubles.web import Answer, AzureError, Names, Request, Website

GROUP = "/subscriptions/{subscription}/resourceGroups/{group}"
WORKSPACE = GROUP + f"/providers/{ML}/workspaces/{{workspace}}"
LOCATION = "westeurope"
DATASTORES = {"workspaceblobstore": "azureml-blobstore", "workspaceartifactstore": "azureml"}


@dataclass
class Cloud:
    """The parts of the double that its services share."""

    folder: Path
    trusted: Path
    site: Website
    identity: Identity
    faults: Faults
    store: Store
    operations: Operations
    storage: Storage
    access: Access
    processes: Processes = field(default_factory=Processes)

    def __post_init__(self) -> None:
        self.images = Images(self.folder / "images")

    @property
    def url(self) -> str:
        return self.site.url

    def workspace(self, names: Names) -> str:
        """Return the path of a request's workspace, which must exist."""
        path = workspace_path(names)
        group = GROUP.format(subscription=names["subscription"], group=names["group"])
        if self.store.get(group) is None:
            message = f"Resource group '{names['group']}' could not be found."
            raise AzureError(404, "ResourceGroupNotFound", message)
        self.store.existing(path)
        return path

    def authorize(self, who: str, needs: list[Need]) -> None:
        """Refuse an identity, by its object id, that lacks one of some needs."""
        if lacking := self.access.missing(who, needs):
            if lacking.linked:
                raise errors.unauthorized_link(who, needs[0], lacking)
            raise errors.unauthorized(who, lacking)

    def check_image(self, environment: str) -> None:
        """Refuse an environment whose image is not in its registry."""
        image = (self.store.get(environment) or {"properties": {}})["properties"].get("image") or ""
        if HOST in image and self.images.find(image) is None:
            raise AzureError(400, "ImagePullFailure", f"Failed to pull image {image}: manifest unknown.")

    def datastore(self, workspace: str, name: str) -> Path:
        """Return the folder behind a workspace's datastore."""
        if name not in DATASTORES:
            raise errors.not_found(f"{workspace}/datastores/{name}")
        return self.storage.folder(self.account(workspace), DATASTORES[name])

    def account_path(self, workspace: str) -> str:
        """Return the path of a workspace's storage account."""
        return str(self.store.existing(workspace)["properties"]["storageAccount"])

    def account(self, workspace: str) -> str:
        """Return the name of a workspace's storage account."""
        return self.account_path(workspace).rsplit("/", 1)[1]

    def locate(self, workspace: str, uri: str) -> Path:
        """Return the file or folder behind a data, code or model address."""
        uri = uri.removeprefix("azureml:") if uri.startswith("azureml:/subscriptions") else uri
        if "/storage/" in uri and uri.startswith("https://"):
            return self.storage.find(uri)
        if found := re.fullmatch(r"azureml:/.*?/?datastores/([^/]+)/paths/(.*)", uri):
            return self.datastore(workspace, found[1]) / found[2]
        if uri.startswith("/subscriptions/"):
            properties = self.store.existing(uri)["properties"]
            return self.locate(
                workspace, properties.get("dataUri") or properties.get("codeUri") or properties["modelUri"]
            )
        raise AzureError(400, "UserError", f"The double can't follow the address {uri}.")


class Resources:
    """The handlers that the kinds of resources in a workspace share."""

    def __init__(self, cloud: Cloud) -> None:
        self._cloud = cloud

    def _list(self, request: Request, names: Names) -> Answer:
        self._cloud.workspace(names)
        if "endpoint" in names:
            self._cloud.store.existing(owner(request.path))
        return Answer(200, {"value": self._cloud.store.children(request.path)})

    def _get(self, request: Request, names: Names) -> Answer:
        self._cloud.workspace(names)
        return Answer(200, self._cloud.store.existing(request.path))

    def _wanted(self, request: Request, names: Names) -> Resource:
        """Return what a PUT or PATCH would make of a resource, unless another operation on it is running."""
        self._check_idle(request, names)
        content: Resource = request.json()
        return merged(self._cloud.store.existing(request.path), content) if request.method == "PATCH" else content

    def _check_idle(self, request: Request, names: Names) -> None:
        """Refuse a change in a missing workspace, or during another operation."""
        self._cloud.workspace(names)
        if self._cloud.operations.busy(owner(request.path)):
            raise errors.conflict(owner(request.path))


def owner(path: str) -> str:
    """Return the resource directly below the workspace: of a deployment, its endpoint."""
    return "/".join(path.split("/")[:11])


def workspace_path(names: Names) -> str:
    """Return the path of a request's workspace, whether it exists or not."""
    return WORKSPACE.format(**{name: names[name] for name in ("subscription", "group", "workspace")})


def datastore_uri(workspace: str, store: str, path: str) -> str:
    """Return the full address of a path in a datastore."""
    _, _, subscription, _, group, *_, name = workspace.split("/")
    scope = f"subscriptions/{subscription}/resourcegroups/{group}/workspaces/{name}"
    return f"azureml://{scope}/datastores/{store}/paths/{path}"


def merged(before: Resource | None, change: Mapping[str, Any]) -> Resource:
    """Merge a change into a resource, objects field by field; null removes a field."""
    result = dict(before or {})
    for name, value in change.items():
        if value is None:
            result.pop(name, None)
        elif isinstance(value, Mapping):
            result[name] = merged(result.get(name) if isinstance(result.get(name), dict) else None, value)
        else:
            result[name] = value
    return result
