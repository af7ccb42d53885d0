"""Workspaces, their datastores, and the description of the cloud."""

import re
from urllib.parse import urlsplit

from doubles import SUBSCRIPTION, TENANT, errors
from doubles.cloud import DATASTORES, GROUP, LOCATION, WORKSPACE, Resources
from doubles.store import ML, Resource
from doubles.web import OPEN, Answer, AzureError, Names, Request, Route

CLOUD_NAME = "LoopbackCloud"


class Workspaces(Resources):
    """Answers the requests with which clients find a workspace."""

    def routes(self) -> list[Route]:
        return [
            Route("GET", "/metadata/endpoints", self._metadata, OPEN),
            Route("GET", WORKSPACE, self._get),
            Route("GET", "/discovery/workspaces/{workspace}", self._discover, OPEN),
            Route("GET", WORKSPACE + "/datastores", self._datastores),
            Route("GET", WORKSPACE + "/datastores/{datastore}", self._datastore),
            Route("POST", WORKSPACE + "/datastores/{datastore}/listSecrets", self._secrets),
            Route("GET", GROUP, self._any),
            Route("GET", GROUP + "/providers/{provider}/{kind}/{name}", self._any),
        ]

    def add(self, group: str, name: str) -> None:
        """Create a workspace, and its resource group if missing."""
        path = WORKSPACE.format(subscription=SUBSCRIPTION, group=group, workspace=name)
        self.add_group(group)
        storage = f"{path.partition('/providers/')[0]}/providers/Microsoft.Storage/storageAccounts/{_account(name)}"
        host = urlsplit(self._cloud.url).netloc
        properties = {
            "friendlyName": name,
            "workspaceId": f"id-of-{name}",
            "storageAccount": storage,
            "keyVault": storage.replace("Storage/storageAccounts/st", "KeyVault/vaults/kv"),
            "applicationInsights": storage.replace("Storage/storageAccounts/st", "Insights/components/ai"),
            "discoveryUrl": f"{self._cloud.url}/discovery/workspaces/{name}",
            "mlFlowTrackingUri": f"azureml://{host}/mlflow/v1.0{path}",
            "provisioningState": "Succeeded",
            "publicNetworkAccess": "Enabled",
        }
        self._cloud.storage.add_account(storage)
        identity = {"type": "SystemAssigned", "tenantId": TENANT}
        kind = {"kind": "Default", "sku": {"name": "Basic", "tier": "Basic"}, "identity": identity, "tags": {}}
        self._cloud.store.put(path, {"location": LOCATION, "properties": properties, **kind})

    def add_group(self, group: str) -> str:
        """Create a resource group; return its path."""
        path = GROUP.format(subscription=SUBSCRIPTION, group=group)
        if self._cloud.store.get(path) is None:
            self._cloud.store.put(path, {"location": LOCATION, "properties": {"provisioningState": "Succeeded"}})
        return path

    def add_resource(self, group: str, provider_path: str) -> None:
        """Create any other resource, such as Microsoft.ContainerRegistry/registries/NAME."""
        path = f"{self.add_group(group)}/providers/{provider_path}"
        self._cloud.store.put(path, {"location": LOCATION, "properties": {"provisioningState": "Succeeded"}})
        if "/registries/" in path:  # as `az ml workspace create --container-registry` does
            for workspace in self._cloud.store.children(
                f"{path.partition('/providers/')[0]}/providers/{ML}/workspaces"
            ):
                self._cloud.store.change(workspace["id"], containerRegistry=path)

    def _metadata(self, _: Request, __: Names) -> Answer:
        url = self._cloud.url
        description = {
            "name": CLOUD_NAME,
            "portal": "https://portal.azure.com/",
            "resourceManager": f"{url}/",
            "authentication": {
                "loginEndpoint": f"{url}/",
                "audiences": [f"{url}/"],
                "tenant": "common",
                "identityProvider": "AAD",
            },
            "suffixes": {"storage": "core.windows.net", "acrLoginServer": "azurecr.io"},
        }
        return Answer(200, [description])

    def _discover(self, _: Request, __: Names) -> Answer:
        services = ("api", "experimentation", "history", "hyperdrive", "modelmanagement", "pipelines", "studio")
        return Answer(200, dict.fromkeys(services, self._cloud.url))

    def _any(self, request: Request, _: Names) -> Answer:
        return Answer(200, self._cloud.store.existing(request.path))

    def _datastores(self, request: Request, names: Names) -> Answer:
        workspace = self._cloud.workspace(names)
        stores = [self._describe(workspace, name) for name in DATASTORES]
        if request.query.get("isDefault", "").lower() == "true":
            stores = [store for store in stores if store["properties"]["isDefault"]]
        return Answer(200, {"value": stores})

    def _datastore(self, request: Request, names: Names) -> Answer:
        workspace = self._cloud.workspace(names)
        if names["datastore"] not in DATASTORES:
            raise errors.not_found(request.path)
        return Answer(200, self._describe(workspace, names["datastore"]))

    def _describe(self, workspace: str, name: str) -> Resource:
        properties = {
            "datastoreType": "AzureBlob",
            "accountName": self._cloud.storage.account_name(self._cloud.account(workspace)),
            "containerName": DATASTORES[name],
            "endpoint": "core.windows.net",
            "protocol": "https",
            # An account without keys has datastores without credentials: callers use their own identity.
            "credentials": {"credentialsType": "None" if self._cloud.access.enforced else "Sas"},
            "isDefault": name == "workspaceblobstore",
            "tags": {},
            "properties": {},
        }
        identity = {"id": f"{workspace}/datastores/{name}", "name": name, "type": f"{ML}/workspaces/datastores"}
        return {**identity, "properties": properties, "systemData": {"createdAt": "2026-01-01T00:00:00Z"}}

    def _secrets(self, request: Request, names: Names) -> Answer:
        workspace = self._cloud.workspace(names)
        if names["datastore"] not in DATASTORES:
            raise errors.not_found(request.path.removesuffix("/listSecrets"))
        if self._cloud.access.enforced:
            raise AzureError(400, "UserError", "The datastore has no credentials: it is accessed by identity.")
        signature = self._cloud.storage.signature(self._cloud.account(workspace), DATASTORES[names["datastore"]])
        return Answer(200, {"secretsType": "Sas", "sasToken": signature})


def _account(workspace: str) -> str:
    """Return a storage account's name for a workspace that was made by hand."""
    return "st" + re.sub(r"[^a-z0-9]", "", workspace.lower().removeprefix("mlw-"))[-22:]
