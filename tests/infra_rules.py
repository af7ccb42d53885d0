"""The project's rules for applied resources, beyond azurerm's schema.

Each rule takes the applied resources and yields its violations, as sentences that name the resource.
"""

import re
from collections.abc import Callable, Iterator, Sequence
from itertools import chain
from typing import Any

from landing_zone import LandingZone, Resource
from rendering import load_naming

Resources = Sequence[Resource]
TAGS = {"project", "environment", "managed-by"}
TOO_WIDE = {"Owner", "User Access Administrator"}
# Only Terraform's identity gets these, from infra/bootstrap/, in the environment's group; the second has a condition.
OF_TERRAFORM = {"Contributor", "Role Based Access Control Administrator"}
READING = {
    *("Reader", "Storage Blob Data Reader"),
    *("Azure Kubernetes Service Cluster User Role", "Azure Kubernetes Service Cluster Admin Role"),
}
SUBSCRIPTION = re.compile(r"/subscriptions/[^/]+/?|/|/providers/Microsoft\.Management/.*")
GROUP = re.compile(r"/subscriptions/[^/]+/resourceGroups/[^/]+")
# The parents within which a name must be unique.
PARENTS = (
    *("resource_group_name", "virtual_network_name", "scope", "target_resource_id", "storage_account_id"),
    *("workspace_id", "kubernetes_cluster_id", "user_assigned_identity_id", "private_dns_zone_id"),
)
# type -> argument -> the value that excludes keys and passwords.
NO_KEYS: dict[str, dict[str, Any]] = {
    "azurerm_storage_account": {
        "shared_access_key_enabled": False,
        "local_user_enabled": False,
        "default_to_oauth_authentication": True,
        "allow_nested_items_to_be_public": False,
        "min_tls_version": "TLS1_2",
        "https_traffic_only_enabled": True,
    },
    "azurerm_container_registry": {"admin_enabled": False, "anonymous_pull_enabled": False},
    "azurerm_key_vault": {"rbac_authorization_enabled": True, "purge_protection_enabled": True},
    "azurerm_machine_learning_workspace": {"storage_account_access_type": "Identity"},
    "azurerm_machine_learning_compute_cluster": {"local_auth_enabled": False, "ssh_public_access_enabled": False},
    "azurerm_machine_learning_datastore_blobstorage": {"account_key": None, "shared_access_signature": None},
    "azurerm_kubernetes_cluster": {
        "oidc_issuer_enabled": True,
        "workload_identity_enabled": True,
        "azure_active_directory_role_based_access_control.azure_rbac_enabled": True,
    },
    "azurerm_linux_virtual_machine": {"disable_password_authentication": True, "admin_password": None},
    "azurerm_log_analytics_workspace": {"local_authentication_enabled": False},
}
# type -> argument -> the value that Azure ML needs, as Microsoft documents it (MicrosoftDocs/azure-ai-docs).
SUPPORTED: dict[str, dict[str, Any]] = {
    # how-to-deploy-kubernetes-extension: "disabling local accounts for AKS is not supported".
    "azurerm_kubernetes_cluster": {"local_account_disabled": False},
    # how-to-identity-based-service-authentication: Azure gives a system-assigned identity its roles;
    # how-to-disable-local-auth-storage: monitoring without keys needs a user-assigned one beside it.
    "azurerm_machine_learning_workspace": {
        "identity.type": "SystemAssigned, UserAssigned",
        "primary_user_assigned_identity": None,
    },
}
# type -> argument -> the value that excludes the internet.
PRIVATE: dict[str, dict[str, Any]] = {
    "azurerm_storage_account": {"public_network_access": "Disabled", "network_rules.default_action": "Deny"},
    "azurerm_key_vault": {"public_network_access_enabled": False, "network_acls.default_action": "Deny"},
    "azurerm_container_registry": {"public_network_access_enabled": False, "sku": "Premium"},
    "azurerm_machine_learning_workspace": {"public_network_access_enabled": False},
    "azurerm_machine_learning_compute_cluster": {"node_public_ip_enabled": False},
    "azurerm_kubernetes_cluster": {"private_cluster_enabled": True},
}
# Allowed values, from azurerm's documentation: the schema has only their types.
VALUES: dict[str, dict[str, set[Any]]] = {
    "azurerm_storage_account": {
        "account_tier": {"Standard", "Premium"},
        "account_replication_type": {"LRS", "GRS", "RAGRS", "ZRS", "GZRS", "RAGZRS"},
    },
    "azurerm_storage_container": {"container_access_type": {"private"}},
    "azurerm_key_vault": {"sku_name": {"standard", "premium"}, "soft_delete_retention_days": set(range(7, 91))},
    "azurerm_container_registry": {"sku": {"Basic", "Standard", "Premium"}},
    "azurerm_machine_learning_compute_cluster": {"vm_priority": {"Dedicated", "LowPriority"}},
    "azurerm_machine_learning_datastore_blobstorage": {
        "service_data_auth_identity": {"None", "WorkspaceSystemAssignedIdentity", "WorkspaceUserAssignedIdentity"}
    },
    "azurerm_machine_learning_workspace": {
        "managed_network.isolation_mode": {"Disabled", "AllowInternetOutbound", "AllowOnlyApprovedOutbound"},
        "identity.type": {"SystemAssigned", "UserAssigned", "SystemAssigned, UserAssigned"},
    },
    "azurerm_management_lock": {"lock_level": {"CanNotDelete", "ReadOnly"}},
    "azurerm_monitor_metric_alert": {
        "severity": {0, 1, 2, 3, 4},
        "frequency": {"PT1M", "PT5M", "PT15M", "PT30M", "PT1H"},
        "window_size": {"PT1M", "PT5M", "PT15M", "PT30M", "PT1H", "PT6H", "PT12H", "P1D"},
        "criteria.operator": {"Equals", "GreaterThan", "GreaterThanOrEqual", "LessThan", "LessThanOrEqual"},
        "criteria.aggregation": {"Average", "Count", "Minimum", "Maximum", "Total"},
    },
    "azurerm_consumption_budget_resource_group": {
        "time_grain": {"BillingAnnual", "BillingMonth", "BillingQuarter", "Annually", "Monthly", "Quarterly"}
    },
    "azurerm_kubernetes_cluster": {
        "sku_tier": {"Free", "Standard", "Premium"},
        "automatic_upgrade_channel": {"patch", "rapid", "node-image", "stable"},
    },
    "azurerm_log_analytics_workspace": {"sku": {"PerGB2018"}, "retention_in_days": set(range(30, 731))},
    "azurerm_public_ip": {"allocation_method": {"Static"}, "sku": {"Standard"}},
}


# type -> its key in the table of src/mlops/naming.py, which has Azure's limits.
NAMED = {
    "azurerm_application_insights": "application_insights",
    "azurerm_consumption_budget_resource_group": "budget",
    "azurerm_container_registry": "registry",
    "azurerm_key_vault": "key_vault",
    "azurerm_kubernetes_cluster": "cluster",
    "azurerm_linux_virtual_machine": "runner",
    "azurerm_log_analytics_workspace": "log_analytics",
    "azurerm_machine_learning_workspace": "workspace",
    "azurerm_monitor_action_group": "action_group",
    "azurerm_monitor_data_collection_rule": "cluster_logs",
    "azurerm_nat_gateway": "nat_gateway",
    "azurerm_network_interface": "network_interface",
    "azurerm_network_security_group": "network_security",
    "azurerm_private_endpoint": "private_endpoint",
    "azurerm_public_ip": "public_ip",
    "azurerm_resource_group": "resource_group",
    "azurerm_storage_account": "storage",
    "azurerm_user_assigned_identity": "identity",
    "azurerm_virtual_network": "network",
}


def value_of(resource: Resource, path: str) -> Any:
    """Return an argument, also of the first of nested blocks: `network_rules.default_action`."""
    found: Any = resource.values
    for step in path.split("."):
        found = found[0] if isinstance(found, list) and found else found
        found = found.get(step) if isinstance(found, dict) else None
    return found


def tagged(resources: Resources) -> Iterator[str]:
    for resource in resources:
        if "tags" in resource.values and (missing := TAGS - set(resource.values["tags"] or {})):
            yield f"{resource.address} lacks the tags {', '.join(sorted(missing))}"


def legal_names(resources: Resources) -> Iterator[str]:
    rules = load_naming().RULES
    for resource in resources:
        if resource.type in NAMED:
            rule, name = rules[NAMED[resource.type]], resource.values["name"]
            if not rule.shortest <= len(name) <= rule.longest:
                limits = f"{rule.shortest} to {rule.longest}"
                yield f"{resource.address}: {name} has {len(name)} characters, Azure allows {limits}"
            elif not rule.allows(name):
                yield f"{resource.address}: Azure does not allow the name {name}"


def without_keys(resources: Resources) -> Iterator[str]:
    yield from _unlike(resources, NO_KEYS)


def supported(resources: Resources) -> Iterator[str]:
    yield from _unlike(resources, SUPPORTED)


def outbound(resources: Resources) -> Iterator[str]:
    """Rule for container groups: a NAT gateway is their only supported way out of a network.

    Source: container-instances-virtual-network-concepts, "Outbound connectivity".
    """
    through = {one.values["subnet_id"] for one in resources if one.type == "azurerm_subnet_nat_gateway_association"}
    for resource in resources:
        delegated = value_of(resource, "delegation.service_delegation.name")
        if delegated == "Microsoft.ContainerInstance/containerGroups" and resource.values["id"] not in through:
            yield f"{resource.address} has no NAT gateway"


def lent_identities(resources: Resources) -> Iterator[str]:
    """Rule for CI, which changes the cluster: each change needs the right to assign the cluster's identities.

    Source: how-to-assign-roles, "User-assigned managed identity with Azure Machine Learning compute cluster".
    """
    ci = [one.values["principal_id"] for one in resources if one.address == "azurerm_user_assigned_identity.ci"]
    lent = {
        one.values["scope"]
        for one in resources
        if one.type == "azurerm_role_assignment"
        and one.values["role_definition_name"] == "Managed Identity Operator"
        and one.values["principal_id"] in ci
    }
    for resource in resources:
        if resource.type == "azurerm_machine_learning_compute_cluster":
            for identity in value_of(resource, "identity.identity_ids"):
                if identity not in lent:
                    yield f"{resource.address} has the identity {identity}, which CI may not assign"


def collected_logs(resources: Resources) -> Iterator[str]:
    """Rule for clusters: without a data collection rule, an agent with an identity collects nothing.

    Source: hashicorp/terraform-provider-azurerm#23510.
    """
    ruled = {
        one.values["target_resource_id"]
        for one in resources
        if one.type == "azurerm_monitor_data_collection_rule_association"
    }
    for resource in resources:
        if value_of(resource, "oms_agent.msi_auth_for_monitoring_enabled") and resource.values["id"] not in ruled:
            yield f"{resource.address} sends its logs nowhere"


def closed(resources: Resources) -> Iterator[str]:
    """Rule for private networks."""
    yield from _unlike(resources, PRIVATE)


def reachable(resources: Resources) -> Iterator[str]:
    """Rule for private networks: every closed resource needs a private endpoint."""
    types = ("azurerm_storage_account", "azurerm_key_vault", "azurerm_machine_learning_workspace")
    reached = {value_of(one, "private_service_connection.private_connection_resource_id") for one in resources}
    for resource in resources:
        if resource.type in types and resource.values["id"] not in reached:
            yield f"{resource.address} has no private endpoint"


def _unlike(resources: Resources, expected: dict[str, dict[str, Any]]) -> Iterator[str]:
    for resource in resources:
        for path, wanted in expected.get(resource.type, {}).items():
            if (found := value_of(resource, path)) != wanted:
                yield f"{resource.address} has {path} = {found!r}, not {wanted!r}"


def allowed_values(resources: Resources) -> Iterator[str]:
    for resource in resources:
        for path, allowed in VALUES.get(resource.type, {}).items():
            if (found := value_of(resource, path)) is not None and found not in allowed:
                yield f"{resource.address} has {path} = {found!r}, which Azure does not allow"


def narrow_roles(resources: Resources) -> Iterator[str]:
    """Rule for roles: none that is too wide, and none over a whole subscription."""
    for resource in resources:
        if resource.type != "azurerm_role_assignment":
            continue
        role, scope = resource.values["role_definition_name"], resource.values["scope"]
        if role is None or role in TOO_WIDE:
            yield f"{resource.address} gives the role {role}"
        if SUBSCRIPTION.fullmatch(scope):
            yield f"{resource.address} reaches all of {scope}"
        if role in OF_TERRAFORM and not (resource.address.startswith("azurerm_role_assignment.terraform[")):
            yield f"{resource.address} gives the role {role}"
        if role == "Role Based Access Control Administrator" and not resource.values["condition"]:
            yield f"{resource.address} gives the role {role} without a condition"
        if role == "Contributor" and not GROUP.fullmatch(scope):
            yield f"{resource.address} gives the role {role} outside of a resource group"


def plans_only_read(resources: Resources) -> Iterator[str]:
    """Rule for the identity that plans, which no reviewer guards: it writes nothing but the plans.

    azurerm reads the credentials of clusters (hashicorp/terraform-provider-azurerm, kubernetes_cluster_resource.go:
    ListClusterUserCredentials, ListClusterAdminCredentials), so it also needs the roles that list them.
    """
    own = [one.values["principal_id"] for one in resources if one.address == "azurerm_user_assigned_identity.plan"]
    plans = [one.values["id"] for one in resources if one.address == "azurerm_storage_container.plans"]
    for resource in resources:
        if resource.type == "azurerm_role_assignment" and resource.values["principal_id"] in own:
            role, scope = resource.values["role_definition_name"], resource.values["scope"]
            if role not in READING and (role, [scope]) != ("Storage Blob Data Contributor", plans):
                yield f"{resource.address} lets plans change {scope}"


def no_conflicts(resources: Resources) -> Iterator[str]:
    """Rule for uniqueness: an identity's role on a resource, a name in its group, a subnet's addresses."""
    seen: dict[tuple[Any, ...], str] = {}
    for resource in resources:
        values = resource.values
        keys: list[tuple[Any, ...]] = []
        if resource.type == "azurerm_role_assignment":
            keys.append(("role", values["scope"], values["principal_id"], values["role_definition_name"]))
        elif resource.type == "azurerm_subnet":
            keys += [("addresses", values["virtual_network_name"], one) for one in values["address_prefixes"]]
        if values.get("name"):
            keys.append((resource.type, *(values.get(parent) for parent in PARENTS), values["name"].lower()))
        for key in keys:
            if (other := seen.setdefault(key, resource.address)) != resource.address:
                yield f"{resource.address} conflicts with {other}: both have {key[-1]}"


def locked_in_production(resources: Resources) -> Iterator[str]:
    """Rule for production."""
    locked = {value_of(one, "scope") for one in resources if one.type == "azurerm_management_lock"}
    kept = ("azurerm_storage_account", "azurerm_key_vault", "azurerm_container_registry")
    for resource in resources:
        if resource.type in kept and resource.values["id"] not in locked:
            yield f"{resource.address} has no lock"


ALWAYS: tuple[Callable[[Resources], Iterator[str]], ...] = (
    tagged,
    legal_names,
    without_keys,
    supported,
    outbound,
    lent_identities,
    collected_logs,
    allowed_values,
    narrow_roles,
    plans_only_read,
    no_conflicts,
)


def problems(zone: LandingZone, *, private: bool) -> list[str]:
    """Return every violation in an applied zone."""
    rules = [*ALWAYS, *[closed] * private]
    if zone.root == "infra":
        rules += [*[reachable] * private, *[locked_in_production] * (zone.environment == "production")]
    return list(chain.from_iterable(rule(zone.resources()) for rule in rules))
