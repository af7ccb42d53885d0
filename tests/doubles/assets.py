"""Versioned assets: code, data, environments, components and models."""

import uuid

from doubles import errors
from doubles.cloud import WORKSPACE, Cloud
from doubles.mlflow_front import MlflowFront
from doubles.store import Resource
from doubles.web import Answer, AzureError, Names, Request, Route

ADDRESSES = {"codes": "codeUri", "data": "dataUri", "models": "modelUri"}


class Assets:
    """Assets of one kind; only the description and tags of a version can change."""

    def __init__(self, cloud: Cloud, kind: str, registry: MlflowFront | None = None) -> None:
        self._cloud = cloud
        self._kind = kind
        self._registry = registry  # stores the versions, if given

    def routes(self) -> list[Route]:
        asset = f"{WORKSPACE}/{self._kind}/{{name}}"
        version = asset + "/versions/{version}"
        return [
            Route("GET", f"{WORKSPACE}/{self._kind}", self._list),
            Route("GET", asset, self._container),
            Route("GET", asset + "/versions", self._versions),
            Route("GET", version, self._get),
            Route("PUT PATCH", version, self._put),
            Route("DELETE", version, self._delete),
            Route("POST", version + "/startPendingUpload", self._upload),
        ]

    def versions(self, workspace: str, name: str) -> list[Resource]:
        """Return an asset's versions, oldest first."""
        return self._cloud.store.children(f"{workspace}/{self._kind}/{name}/versions")

    def save(self, workspace: str, name: str, version: str, resource: Resource) -> Resource:
        """Store a version."""
        path = f"{workspace}/{self._kind}/{name}/versions/{version}"
        before = self._cloud.store.get(path)
        field = ADDRESSES.get(self._kind)
        if before and field and before["properties"].get(field) != resource["properties"].get(field):
            message = "The asset path cannot be updated: a version of an asset is immutable. Use another version."
            raise AzureError(400, "UserError", message)
        if self._registry:
            return self._registry.save(workspace, name, version, resource)
        properties: Resource = {
            "description": None,
            "tags": {},
            "properties": {},
            "isArchived": False,
            "isAnonymous": False,
        }
        whole = {**properties, **resource["properties"], "provisioningState": "Succeeded"}
        return self._cloud.store.put(path, {"properties": whole})

    def _list(self, _: Request, names: Names) -> Answer:
        workspace = self._cloud.workspace(names)
        prefix = f"{workspace}/{self._kind}/"
        found = dict.fromkeys(name for name in self._cloud.store.names(prefix))
        return Answer(200, {"value": [self._describe(workspace, name) for name in found]})

    def _container(self, _: Request, names: Names) -> Answer:
        return Answer(200, self._describe(self._cloud.workspace(names), names["name"]))

    def _describe(self, workspace: str, name: str) -> Resource:
        path = f"{workspace}/{self._kind}/{name}"
        versions = self.versions(workspace, name)
        if not versions:
            raise errors.not_found(path)
        numbers = [int(v["name"]) for v in versions if v["name"].isdigit()]
        properties: Resource = {
            "latestVersion": versions[-1]["name"],
            "nextVersion": str(max(numbers, default=0) + 1),
            "isArchived": False,
            "tags": {},
            "properties": {},
        }
        if self._kind == "data":
            properties["dataType"] = versions[-1]["properties"].get("dataType", "uri_folder")
        kept = {name: versions[-1][name] for name in ("systemData",)}
        return {
            "id": path,
            "name": name,
            "type": versions[-1]["type"].removesuffix("/versions"),
            "properties": properties,
            **kept,
        }

    def _versions(self, request: Request, names: Names) -> Answer:
        workspace = self._cloud.workspace(names)
        found = self.versions(workspace, names["name"])
        if wanted := request.query.get("hash"):  # under any name
            everything = self._cloud.store.names(f"{workspace}/{self._kind}/")
            found = [version for name in everything for version in self.versions(workspace, name)]
            found = [v for v in found if v["properties"]["properties"].get("hash_sha256") == wanted]
        if "desc" in request.query.get("$orderBy", "desc").lower():
            found.reverse()
        return Answer(200, {"value": found[: int(request.query.get("$top") or len(found))]})

    def _get(self, request: Request, names: Names) -> Answer:
        self._cloud.workspace(names)
        return Answer(200, self._cloud.store.existing(request.path))

    def _put(self, request: Request, names: Names) -> Answer:
        workspace = self._cloud.workspace(names)
        new = self._cloud.store.get(request.path) is None
        kept = self.save(workspace, names["name"], names["version"], request.json())
        return Answer(201 if new else 200, kept)

    def _delete(self, request: Request, names: Names) -> Answer:
        self._cloud.workspace(names)
        return Answer(200 if self._cloud.store.remove(request.path) else 204)

    def _upload(self, _: Request, names: Names) -> Answer:
        """Return a new container for the files of a version about to be created."""
        holder, container = self._cloud.account(self._cloud.workspace(names)), str(uuid.uuid4())
        address = self._cloud.storage.signed_url(holder, container)
        reference = {
            "blobUri": self._cloud.storage.url(holder, container),
            "storageAccountArmId": f"/storageAccounts/{holder}",
            "credential": {"credentialType": "SAS", "sasUri": address},
        }
        kind = {"pendingUploadId": container, "pendingUploadType": "TemporaryBlobReference"}
        return Answer(200, {**kind, "blobReferenceForConsumption": reference})
