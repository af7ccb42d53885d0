"""Azure's errors, with Azure's texts."""

import json

from doubles import SUBSCRIPTION
from doubles.roles import Need, needed
from doubles.web import AzureError

GUIDE = "Please see troubleshooting guide, available here: https://aka.ms/oe-tsg#error-"


def not_found(path: str) -> AzureError:
    """Return Resource Manager's error for a resource that does not exist, or not yet."""
    head, _, tail = path.partition("/providers/")
    name = tail or path
    group = head.rsplit("/", 1)[-1]
    return AzureError(
        404,
        "ResourceNotFound",
        f"The Resource '{name}' under resource group '{group}' was not found. "
        "For more details please go to https://aka.ms/ARMResourceNotFoundFix",
    )


def throttled(seconds: float) -> AzureError:
    """Return Resource Manager's error for a client that calls too often."""
    return AzureError(
        429,
        "TooManyRequests",
        "The request is being throttled as the limit has been reached for operation type - Write. "
        "For more information, see - https://aka.ms/srpthrottlinglimits",
        headers={"Retry-After": str(max(1, round(seconds)))},
    )


def conflict(path: str) -> AzureError:
    """Return Azure's error while another operation on the same resource is running."""
    kind, name = path.split("/")[-2:]
    if kind == "containerGroups":
        text = f"The container group '{name}' is still transitioning, please retry later."
        return AzureError(409, "ContainerGroupTransitioning", text)
    return AzureError(
        409,
        "Conflict",
        "Conflict of operation, another operation on same entity is already running: "
        f"{kind}/{name} is in Updating provisioning state.",
    )


def invalid(reason: str, field: str = "", call: str = "InferencingClientCallFailed") -> AzureError:
    """Return Azure ML's error for an invalid endpoint or deployment: the reason is in the details."""
    problem = {"errors": {field: [reason]}, "title": "One or more validation errors occurred.", "status": 400}
    text = f"InferencingClient HttpRequest error, error detail: {json.dumps(problem, separators=(',', ':'))}"
    return AzureError(400, "BadRequest", "The request is invalid.", [(call, text)])


def over_quota(size: str, needed: int = 8) -> AzureError:
    """Return Azure ML's error for a deployment that needs more cores than the subscription has left."""
    reason = (
        f"Not enough quota available for {size} in SubscriptionId {SUBSCRIPTION}. Current usage/limit: 0/6. "
        f"Additional needed: {needed} {GUIDE}outofquota"
    )
    return invalid(reason, "VmSize", "InferencingClientCreateDeploymentFailed")


def over_cluster_quota(size: str) -> AzureError:
    """Return Azure ML's error for a compute cluster that needs more cores than the subscription has."""
    return AzureError(
        400,
        "ClusterCoreQuotaReached",
        f"The specified subscription has a {size} vCPU quota of 0 and cannot accommodate for at least 1 requested "
        "managed compute nodes which maps to 4 vCPUs. Talk to your Subscription Admin or refer to "
        "https://docs.microsoft.com/azure/machine-learning/how-to-manage-quotas#request-quota-increases to increase "
        "the family quota",
    )


def over_core_quota() -> AzureError:
    """Return Container Instances' error for a group that needs more cores than are left."""
    return AzureError(
        409,
        "ContainerGroupQuotaReached",
        "Resource type 'Microsoft.ContainerInstance/containerGroups' container group quota 'StandardCores' exceeded in "
        "region 'westeurope'. Limit: '10', Usage: '10' Requested: '1'.",
    )


def tasks_not_allowed(path: str) -> AzureError:
    """Return Container Registry's error for a free or student subscription.

    Source: Azure-Samples/azure-search-openai-demo#2220.
    """
    name = path.rsplit("/", 2)[-2]
    return AzureError(
        400,
        "TasksOperationsNotAllowed",
        f"ACR Tasks requests for the registry {name} and {SUBSCRIPTION} are not permitted. Please file an Azure "
        "support request at http://aka.ms/azuresupport for assistance.",
    )


def crashed(message: str = "") -> AzureError:
    """Return Azure ML's error for a deployment whose server ends or never becomes ready."""
    text = f"User container has crashed or terminated. {GUIDE}resourcenotready"
    return AzureError(400, "ResourceNotReady", message or text)


def forbidden(method: str, path: str, who: str = "66666666-7777-8888-9999-000000000000") -> AzureError:
    """Return Resource Manager's error for a caller without the required role."""
    return unauthorized(who, needed(method, path))


def unauthorized(who: str, need: Need) -> AzureError:
    """Return Resource Manager's error for an identity that may not do something (troubleshooting.md)."""
    return AzureError(
        403,
        "AuthorizationFailed",
        f"The client '{who}' with object id '{who}' does not have authorization to perform action '{need.action}' over "
        f"scope '{need.scope}' or the scope is invalid. If access was recently granted, please refresh your "
        "credentials.",
    )


def unauthorized_link(who: str, own: Need, linked: Need) -> AzureError:
    """Return Resource Manager's error for a change that names a resource which the caller may not use so.

    Source: Azure/aad-pod-identity#613.
    """
    return AzureError(
        403,
        "LinkedAuthorizationFailed",
        f"The client '{who}' with object id '{who}' has permission to perform action '{own.action}' on scope "
        f"'{own.scope}'; however, it does not have permission to perform action '{linked.action}' on the linked "
        f"scope(s) '{linked.scope}' or the linked scope(s) are invalid.",
    )
