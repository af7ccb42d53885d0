"""Applied Terraform, as the double of Azure knows it: who exists, who may do what, and what can be used."""

from collections.abc import Iterable, Iterator
from typing import Any

from azure_project import PREFIX
from doubles import SUBSCRIPTION
from landing_zone import LandingZone, Resource

# May apply infra/, and more: seeds registries, and attaches clusters.
OPERATOR = {"name": "operator", "id": "/operator", "client": "operator", "object": "operator"}
OPERATORS_ROLES = ("Contributor", "Storage Blob Data Contributor", "AzureML Data Scientist")
# Stored as they are; Azure ML's resources have forms of their own.
STORED = (
    "azurerm_key_vault",
    "azurerm_kubernetes_cluster",
    "azurerm_storage_account",
    "azurerm_subnet",
    "azurerm_virtual_network",
)


def landing_zone_of(zones: Iterable[LandingZone]) -> dict[str, Any]:
    """Return the identities, roles and resources of applied environments."""
    resources = [resource for zone in zones for resource in zone.resources()]
    groups = {resource.values["resource_group_name"] for resource in of_type(resources, "azurerm_storage_account")}
    scopes = [f"/subscriptions/{SUBSCRIPTION}/resourceGroups/{group}" for group in sorted(groups)]
    return {
        "principals": [
            OPERATOR,
            *map(principal, of_type(resources, "azurerm_user_assigned_identity")),
            *map(own_identity, of_type(resources, "azurerm_container_registry_task")),
        ],
        "assignments": [
            *({"principal": "operator", "role": role, "scope": scope} for role in OPERATORS_ROLES for scope in scopes),
            *map(assignment, of_type(resources, "azurerm_role_assignment")),
        ],
        "federations": list(federations(resources)),
        "workspaces": {
            resource.values["id"]: {
                "storageAccount": resource.values["storage_account_id"],
                "containerRegistry": resource.values["container_registry_id"],
            }
            for resource in of_type(resources, "azurerm_machine_learning_workspace")
        },
        "resources": {
            **{resource.values["id"]: {"properties": {}} for kind in STORED for resource in of_type(resources, kind)},
            **dict(map(cluster, of_type(resources, "azurerm_machine_learning_compute_cluster"))),
            **dict(map(registry, of_type(resources, "azurerm_container_registry"))),
            **dict(map(task, of_type(resources, "azurerm_container_registry_task"))),
        },
    }


def know_reader(known: dict[str, Any], subject: str) -> None:
    """Add the identity of production-plan, which infra/bootstrap/ makes: it may read the resource group.

    Parameters
    ----------
    subject :
        That of the tokens with which its jobs log in.
    """
    scope = f"/subscriptions/{SUBSCRIPTION}/resourceGroups/rg-{PREFIX}-production"
    issuer = known["federations"][0]["issuer"]
    known["principals"].append({"name": "reader", "id": "/reader", "client": "reader", "object": "reader"})
    known["assignments"].append({"principal": "reader", "role": "Reader", "scope": scope})
    known["federations"].append({"client": "reader", "issuer": issuer, "subject": subject})


def of_type(resources: Iterable[Resource], kind: str) -> list[Resource]:
    return [resource for resource in resources if resource.type == kind]


def federations(resources: list[Resource]) -> Iterator[dict[str, str]]:
    """Yield the federated credentials, with the client ids of their identities."""
    clients = {
        one.values["id"]: one.values["client_id"] for one in of_type(resources, "azurerm_user_assigned_identity")
    }
    for credential in of_type(resources, "azurerm_federated_identity_credential"):
        client = clients[credential.values["user_assigned_identity_id"]]
        yield {"client": client, "issuer": credential.values["issuer"], "subject": credential.values["subject"]}


def principal(identity: Resource) -> dict[str, str]:
    values = identity.values
    return {
        "name": values["name"],
        "id": values["id"],
        "client": values["client_id"],
        "object": values["principal_id"],
    }


def own_identity(task: Resource) -> dict[str, str]:
    """Return the identity that Azure makes for a registry's task."""
    values = task.values
    return {
        "name": values["id"].rpartition("/registries/")[2],
        "id": f"{values['id']}/identity",
        "client": "",
        "object": values["identity"][0]["principal_id"],
    }


def assignment(role: Resource) -> dict[str, str]:
    values = role.values
    return {"principal": values["principal_id"], "role": values["role_definition_name"], "scope": values["scope"]}


def registry(resource: Resource) -> tuple[str, dict[str, Any]]:
    """Return a container registry's path and its form in Resource Manager."""
    values = resource.values
    properties = {
        "publicNetworkAccess": "Enabled" if values["public_network_access_enabled"] else "Disabled",
        "networkRuleBypassOptions": values["network_rule_bypass_option"],
        "networkRuleBypassAllowedForTasks": values["network_rule_bypass_for_tasks_enabled"],
    }
    return values["id"], {"properties": properties}


def task(resource: Resource) -> tuple[str, dict[str, Any]]:
    """Return a registry's task and its form in Resource Manager."""
    values = resource.values
    credentials = {
        one["login_server"]: {"identity": one["identity"]} for one in values["registry_credential"][0]["custom"]
    }
    properties = {
        "step": {"type": "EncodedTask", "encodedTaskContent": values["encoded_step"][0]["task_content"]},
        "credentials": {"customRegistries": credentials},
    }
    identity = {"type": "SystemAssigned", "principalId": values["identity"][0]["principal_id"]}
    return values["id"], {"identity": identity, "properties": properties}


def cluster(resource: Resource) -> tuple[str, dict[str, Any]]:
    """Return a compute cluster's path and its form in Resource Manager."""
    values = resource.values
    scale = values["scale_settings"][0]
    properties = {
        "vmSize": values["vm_size"],
        "vmPriority": values["vm_priority"],
        "enableNodePublicIp": values["node_public_ip_enabled"],
        "scaleSettings": {
            "minNodeCount": scale["min_node_count"],
            "maxNodeCount": scale["max_node_count"],
            "nodeIdleTimeBeforeScaleDown": scale["scale_down_nodes_after_idle_duration"],
        },
    }
    lent: dict[str, Any] = {identity: {} for identity in values["identity"][0]["identity_ids"]}
    return values["id"], {
        "location": values["location"],
        "identity": {"type": "UserAssigned", "userAssignedIdentities": lent},
        "properties": {"computeType": "AmlCompute", "provisioningState": "Succeeded", "properties": properties},
    }
