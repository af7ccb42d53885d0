"""Azure's errors, with Azure's texts."""

import json

from doubles.web import AzureError

SUBSCRIPTION = "00000000-0000-0000-0000-000000000000"
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


def crashed(message: str = "") -> AzureError:
    """Return Azure ML's error for a deployment whose server ends or never becomes ready."""
    text = f"User container has crashed or terminated. {GUIDE}resourcenotready"
    return AzureError(400, "ResourceNotReady", message or text)


def forbidden(method: str, path: str) -> AzureError:
    """Return Resource Manager's error for a caller without the required role."""
    action = {"GET": "read", "DELETE": "delete", "POST": "action"}.get(method, "write")
    return AzureError(
        403,
        "AuthorizationFailed",
        "The client 'tester@example.com' with object id '66666666-7777-8888-9999-000000000000' does not have "
        f"authorization to perform action '{resource_type(path)}/{action}' over scope '{path}' or the scope is "
        "invalid. If access was recently granted, please refresh your credentials.",
    )


def resource_type(path: str) -> str:
    """Return a resource's type from its path: every second segment after the provider's name."""
    _, found, tail = path.rpartition("/providers/")
    if not found:
        return "Microsoft.Resources/resourceGroups"
    provider, *segments = tail.split("/")
    return "/".join([provider, *segments[::2]])
