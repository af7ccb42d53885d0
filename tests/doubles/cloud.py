"""The parts of the double that every service of it uses, and the paths that they share."""

import re
from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from doubles import errors
from doubles.faults import Faults
from doubles.identity import ML_AUDIENCE, Identity
from doubles.operations import Operations
from doubles.processes import Processes
from doubles.storage import Storage
from doubles.store import ML, Resource, Store
from doubles.web import AzureError, Request, Website

GROUP = "/subscriptions/{subscription}/resourceGroups/{group}"
WORKSPACE = GROUP + f"/providers/{ML}/workspaces/{{workspace}}"
LOCATION = "westeurope"
DATASTORES = {"workspaceblobstore": "azureml-blobstore", "workspaceartifactstore": "azureml"}


@dataclass
class Cloud:
    """What the services share."""

    folder: Path
    trusted: Path
    site: Website
    identity: Identity
    faults: Faults
    store: Store
    operations: Operations
    storage: Storage
    processes: Processes = field(default_factory=Processes)

    @property
    def url(self) -> str:
        return self.site.url

    def workspace(self, names: Mapping[str, str]) -> str:
        """The path of the workspace that a request is about; it has to exist."""
        path = WORKSPACE.format(**{name: names[name] for name in ("subscription", "group", "workspace")})
        group = GROUP.format(subscription=names["subscription"], group=names["group"])
        if self.store.get(group) is None:
            message = f"Resource group '{names['group']}' could not be found."
            raise AzureError(404, "ResourceGroupNotFound", message)
        if self.store.get(path) is None:
            raise errors.not_found(path)
        return path

    def authorize(self, request: Request) -> dict[str, Any]:
        """Check a request's token: it has to be for Resource Manager, or for Azure ML."""
        return self.identity.check(request.headers.get("Authorization"), [self.url, ML_AUDIENCE])

    def datastore(self, workspace: str, name: str) -> Path:
        """The folder behind one of a workspace's datastores."""
        if name not in DATASTORES:
            raise errors.not_found(f"{workspace}/datastores/{name}")
        return self.storage.folder(account(workspace), DATASTORES[name])

    def locate(self, workspace: str, uri: str) -> Path:
        """The file or folder behind a data, code or model address."""
        uri = uri.removeprefix("azureml:") if uri.startswith("azureml:/subscriptions") else uri
        if "/storage/" in uri and uri.startswith("https://"):
            return self.storage.find(uri)
        if found := re.fullmatch(r"azureml:/.*?/?datastores/([^/]+)/paths/(.*)", uri):
            return self.datastore(workspace, found[1]) / found[2]
        if uri.startswith("/subscriptions/"):
            resource = self.store.get(uri)
            if resource is None:
                raise errors.not_found(uri)
            properties = resource["properties"]
            return self.locate(
                workspace, properties.get("dataUri") or properties.get("codeUri") or properties["modelUri"]
            )
        raise AzureError(400, "UserError", f"The double can't follow the address {uri}.")


def account(workspace: str) -> str:
    """The storage account of a workspace."""
    return "st" + re.sub(r"[^a-z0-9]", "", workspace.rsplit("/", 1)[1].lower())[-22:]


def datastore_uri(workspace: str, name: str, path: str) -> str:
    """The long address of a path in a datastore."""
    _, _, subscription, _, group, *_, own = workspace.split("/")
    scope = f"subscriptions/{subscription}/resourcegroups/{group}/workspaces/{own}"
    return f"azureml://{scope}/datastores/{name}/paths/{path}"


def merged(before: Resource | None, change: Mapping[str, Any]) -> Resource:
    """A resource with a change laid over it, objects field by field; null removes a field."""
    result = dict(before or {})
    for name, value in change.items():
        if value is None:
            result.pop(name, None)
        elif isinstance(value, Mapping):
            result[name] = merged(result.get(name) if isinstance(result.get(name), dict) else None, value)
        else:
            result[name] = value
    return result
