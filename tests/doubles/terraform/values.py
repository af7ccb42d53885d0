"""Resource values: decoded, walked by the schema, and invented where Azure would decide."""

import hashlib
import json
import uuid
from collections.abc import Callable, Iterator
from typing import Any

import msgpack

from doubles import SUBSCRIPTION
from doubles.terraform.schema import Block, Type

GROUP = f"/subscriptions/{SUBSCRIPTION}/resourceGroups/{{resource_group_name}}/providers/"
# Azure's ids of the types whose scope or name matters to others: to role assignments and to Azure ML.
PATHS = {
    "azurerm_container_registry": GROUP + "Microsoft.ContainerRegistry/registries/{name}",
    "azurerm_container_registry_task": "{container_registry_id}/tasks/{name}",
    "azurerm_key_vault": GROUP + "Microsoft.KeyVault/vaults/{name}",
    "azurerm_kubernetes_cluster": GROUP + "Microsoft.ContainerService/managedClusters/{name}",
    "azurerm_log_analytics_workspace": GROUP + "Microsoft.OperationalInsights/workspaces/{name}",
    "azurerm_machine_learning_compute_cluster": "{machine_learning_workspace_id}/computes/{name}",
    "azurerm_machine_learning_workspace": GROUP + "Microsoft.MachineLearningServices/workspaces/{name}",
    "azurerm_private_dns_zone": GROUP + "Microsoft.Network/privateDnsZones/{name}",
    "azurerm_storage_account": GROUP + "Microsoft.Storage/storageAccounts/{name}",
    "azurerm_storage_container": "{storage_account_id}/blobServices/default/containers/{name}",
    "azurerm_subnet": GROUP + "Microsoft.Network/virtualNetworks/{virtual_network_name}/subnets/{name}",
    "azurerm_user_assigned_identity": GROUP + "Microsoft.ManagedIdentity/userAssignedIdentities/{name}",
    "azurerm_virtual_network": GROUP + "Microsoft.Network/virtualNetworks/{name}",
}
UNKNOWN = msgpack.ExtType(0, b"\x00")
Value = Any
See = Callable[[str, Block, Value], Value]


def unpack(wire: Any) -> Value:
    """Return the value of a DynamicValue; values not known yet are UNKNOWN."""
    if wire.msgpack:
        return msgpack.unpackb(wire.msgpack, raw=False, strict_map_key=False)
    return json.loads(wire.json) if wire.json else None


def is_unknown(value: Value) -> bool:
    return isinstance(value, msgpack.ExtType)


def rebuilt(block: Block, value: Value, see: See) -> Value:
    """Replace each attribute of a block's value, at any depth, with ``see(name, attribute, value)``."""
    if value is None or is_unknown(value):
        return value
    found = {name: see(name, attribute, value.get(name)) for name, attribute in block["attributes"].items()}
    for name, nested in block["block_types"].items():
        inner = value.get(name)
        if isinstance(inner, list):
            found[name] = [rebuilt(nested["block"], item, see) for item in inner]
        else:
            found[name] = rebuilt(nested["block"], inner, see)
    return found


def attributes(block: Block, value: Value, path: tuple[str | int, ...] = ()) -> Iterator[tuple[Any, ...]]:
    """Yield the path, the schema and the value of each attribute that is set, at any depth."""
    if not isinstance(value, dict):
        return
    for name, attribute in block["attributes"].items():
        if value.get(name) is not None:
            yield (*path, name), attribute, value[name]
    for name, nested in block["block_types"].items():
        inner = value.get(name)
        for position, item in enumerate(inner) if isinstance(inner, list) else ():
            # An element of a set has no position.
            place = (*path, name) if nested["nesting_mode"] == "set" else (*path, name, position)
            yield from attributes(nested["block"], item, place)


def with_unknowns(block: Block, value: Value) -> Value:
    """Return the plan for a new resource: values that Azure decides are unknown."""
    return rebuilt(block, value, lambda _, one, set_: UNKNOWN if set_ is None and one.get("computed") else set_)


def filled(kind: str, block: Block, value: Value) -> Value:
    """Return a planned resource as created: the same plan gets the same values."""
    seed = kind + repr(sorted((name, repr(inner)) for name, inner in value.items()))

    def fill(name: str, attribute: Block, planned: Value) -> Value:
        return made_up(name, attribute["type"], seed) if is_unknown(planned) else planned

    created = rebuilt(block, value, fill)
    if is_unknown(value.get("id")):
        created["id"] = resource_id(kind, created, seed)
    if kind == "azurerm_container_registry":
        created["login_server"] = f"{created['name']}.azurecr.io"
    return created


def read_data(kind: str, block: Block, config: Value) -> Value:
    """Return a data source's result: the configuration, completed with invented values."""
    found = rebuilt(block, config, lambda name, one, set_: made_up(name, one["type"], kind) if set_ is None else set_)
    for name, attribute in block["attributes"].items():
        if not attribute.get("computed"):
            found[name] = config[name]
    return {**found, "id": resource_id(kind, found, kind)}


def resource_id(kind: str, value: Value, seed: str) -> str:
    """Return an Azure resource id below the parent, the resource group or the subscription."""
    name = value.get("name") or _digest(seed, "id")[:16]
    type_ = kind.removeprefix("azurerm_")
    if kind in PATHS:
        return PATHS[kind].format(**{**value, "name": name})
    if kind == "azurerm_subscription":
        return f"/subscriptions/{SUBSCRIPTION}"
    if kind == "azurerm_resource_group":
        return f"/subscriptions/{SUBSCRIPTION}/resourceGroups/{name}"
    if group := value.get("resource_group_name"):
        return f"/subscriptions/{SUBSCRIPTION}/resourceGroups/{group}/providers/Microsoft.Double/{type_}/{name}"
    parents = [text for key, text in sorted(value.items()) if key.endswith(("_id", "scope")) and _is_id(text)]
    parent = parents[0] if parents else f"/subscriptions/{SUBSCRIPTION}"
    return f"{parent}/providers/Microsoft.Double/{type_}/{name}"


def _is_id(text: Value) -> bool:
    return isinstance(text, str) and text.startswith("/subscriptions/")


def made_up(name: str, type_: Type, seed: str) -> Value:
    """Invent a value of a type; an attribute's name decides whether a string is a GUID, an id or an endpoint."""
    if type_ == "string":
        return _text(name, _digest(seed, name))
    if isinstance(type_, str):
        return {"number": 0, "bool": False, "dynamic": None}[type_]
    kind, inner = type_
    if kind == "object":
        return {key: made_up(key, one, seed) for key, one in inner.items()}
    if kind == "map":
        return {}
    # Azure exports lists of blocks, such as identity or kube_config, with one element.
    return [made_up(name, inner, seed)] if isinstance(inner, list) and inner[0] == "object" else []


def _text(name: str, digest: str) -> str:
    if name == "subscription_id":
        return SUBSCRIPTION
    if name in ("name", "workspace_id") or name.endswith(("tenant_id", "client_id", "object_id", "principal_id")):
        return str(uuid.UUID(digest[:32]))
    if name.endswith(("_id", "_ids")):
        return f"/subscriptions/{SUBSCRIPTION}/resourceGroups/double/providers/Microsoft.Double/{name}/{digest[:8]}"
    if name.endswith(("endpoint", "url", "uri")):
        return f"https://{digest[:8]}.double.invalid/"
    return digest[:16]


def _digest(seed: str, name: str) -> str:
    return hashlib.sha256(f"{seed}/{name}".encode()).hexdigest()
