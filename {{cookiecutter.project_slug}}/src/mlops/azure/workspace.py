"""Connect to a workspace, turn Azure's errors into `AzureError`, and wait for its operations."""

from __future__ import annotations

import contextlib
import io
import logging
import re
from collections.abc import Callable, Iterator
from typing import Any, Final, TypeVar

from azure.ai.ml import MLClient
from azure.core.exceptions import AzureError as SdkError
from azure.core.exceptions import (
    ClientAuthenticationError,
    HttpResponseError,
    IncompleteReadError,
    ResourceExistsError,
    ResourceNotFoundError,
    ServiceRequestError,
    ServiceResponseError,
)

from mlops.azure.credential import make_credential
from mlops.config import Environment, Project, subscription
from mlops.errors import AzureError
from mlops.release.pending import OtherRelease
from mlops.waiting import wait_until

Result = TypeVar("Result")

VISIBLE_SECONDS: Final = 60
IDLE_SECONDS: Final = 30 * 60
AGAIN: Final = "run the same command again"
# Patterns of "STATUS CODE: message", and the fix; the first match counts.
FIXES: Final = (
    (
        r"LinkedAuthorizationFailed",
        "Grant the identity that runs this the role that the message names, on the linked scope: "
        "`Managed Identity Operator` on an identity, `Network Contributor` on a subnet. Terraform "
        f"grants them to the identities that it creates. Then {AGAIN}.",
    ),
    (
        r"TasksOperationsNotAllowed",
        "Free and student subscriptions cannot build images in a registry. Use another "
        f"subscription, or the target managed. Then {AGAIN}.",
    ),
    (
        r"AADSTS700024",
        f"The login has expired during a long command: log in again, then {AGAIN}.",
    ),
    (
        r"AuthorizationFailed.*Microsoft\.ContainerRegistry",
        "Grant the identity that runs this a role on the registry: `Container Registry Tasks "
        "Contributor` to build images, `Container Registry Data Importer and Data Reader` on both "
        f"registries to copy one. Terraform grants them. Then {AGAIN}.",
    ),
    (
        r"AuthorizationFailed|AuthorizationPermissionMismatch|^403\b",
        "Grant the identity that runs this the role `AzureML Data Scientist` on the workspace (for "
        "storage: `Storage Blob Data Contributor`). Terraform grants them to the identities that "
        f"it creates. A new role takes up to ten minutes to take effect. Then {AGAIN}.",
    ),
    (r"ClientAuthentication|^401\b", f"Log in (`az login`, in CI with OIDC), then {AGAIN}."),
    (
        r"[Qq]uota|SkuNotAvailable|OutOfCapacity",
        "Request more quota (portal: Quotas), or use less in project.yml: instance_type, "
        f"instances or azure.compute. Then {AGAIN}.",
    ),
    (
        r"(Subscription|ResourceGroup|Workspace)NotFound|/workspaces/[^/']+' under",
        "Create it with Terraform or as docs/azure.md says, or correct "
        f"AZURE_SUBSCRIPTION_ID, or azure.prefix in project.yml. Then {AGAIN}.",
    ),
    (
        r"ResourceNotReady|ImageBuildFailure|InaccessibleImage",
        f"Fix the version or its image: the log shows the error. Then {AGAIN}.",
    ),
    (r"^409\b", f"Wait until the other operation has ended, then {AGAIN}."),
    (r"^429\b", f"Azure limits the rate of requests: wait a few minutes, then {AGAIN}."),
    (r"^no answer", f"Check the network, proxies and firewalls, then {AGAIN}."),
)


def connect(project: Project, environment: Environment) -> MLClient:
    """Return a client of an environment's workspace, after checking that it exists.

    Raises
    ------
    ConfigError
        AZURE_SUBSCRIPTION_ID is not set.
    AzureError
        The workspace does not exist or cannot be accessed.
    """
    subscription_id = subscription()
    workspace = project.azure.name("workspace", environment)
    group = project.azure.name("resource_group", environment)
    credential = make_credential()
    with azure_errors(f"reach the workspace {workspace} in {group}"):
        client = MLClient(
            credential,
            subscription_id,
            group,
            workspace,
            show_progress=False,
            enable_telemetry=False,
            retry_on_status_codes=[401],  # an expired token is renewed
        )
        client.workspaces.get(workspace)
    return client


@contextlib.contextmanager
def azure_errors(what: str) -> Iterator[None]:
    """Silence the SDK, and turn its errors into an `AzureError` with a fix.

    ``what`` completes "Could not ...".
    """
    nowhere = io.StringIO()
    disabled = logging.root.manager.disable
    logging.disable(logging.CRITICAL)
    try:
        with contextlib.redirect_stdout(nowhere), contextlib.redirect_stderr(nowhere):
            yield
    except SdkError as error:
        raise make_error(what, *_reason(error)) from error
    finally:
        logging.disable(disabled)


def make_error(what: str, kind: str, reason: str) -> AzureError:
    """Return the error for a failed request, with the fix that fits its reason.

    ``what`` completes "Could not ..."; ``kind`` is the HTTP status and Azure's error code, if any.
    """
    text = f"{kind}: {reason}"
    fixes = [fix for pattern, fix in FIXES if re.search(pattern, text)]
    fix = fixes[0] if fixes else f"{AGAIN.capitalize()}."
    return AzureError(f"Could not {what}: {reason}", fix)


@contextlib.contextmanager
def other_operation(name: str) -> Iterator[None]:
    """Raise `OtherRelease` where Azure refuses a change because another one is running (409)."""
    try:
        yield
    except AzureError as error:
        if not isinstance(error.__cause__, ResourceExistsError):
            raise
        raise OtherRelease(
            f"Another operation is changing {name}.", f"Wait until it has ended, then {AGAIN}."
        ) from error


def find(look: Callable[[], Result]) -> Result | None:
    """Return the resource that ``look`` reads, or None if it does not exist."""
    try:
        return look()
    except ResourceNotFoundError:
        return None


def wait_until_visible(look: Callable[[], Result]) -> Result:
    """Return the result of ``look``, which may not find at once what was just created."""
    found = wait_until(lambda found: found is not None, lambda: find(look), VISIBLE_SECONDS)
    return look() if found is None else found


def put(operations: Any, resource: Any, *parent: str) -> None:
    """Create or update a resource; return once that has ended and the resource is visible.

    Parameters
    ----------
    operations
        The client's operations on such resources, such as ``client.compute``.
    parent : str
        For a deployment: the name of its endpoint.
    """
    poller = operations.begin_create_or_update(resource)
    try:
        poller.result()
    except HttpResponseError as error:
        if error.status_code != 404:
            raise
    wait_until_visible(lambda: operations.get(resource.name, *parent))


def state(resource: Any) -> str:
    """Return the provisioning state of an endpoint or deployment in lower case."""
    return (resource.provisioning_state or "").lower()


def is_idle(resource: Any) -> bool:
    """Return whether no operation on an endpoint or deployment is running."""
    return state(resource) not in {"creating", "updating", "deleting", "scaling"}


def wait_until_idle(look: Callable[[], Result]) -> Result:
    """Return the result of ``look`` once no other operation on it is running."""
    found = wait_until(lambda found: found is None or is_idle(found), look, IDLE_SECONDS)
    if found is not None and not is_idle(found):
        name = getattr(found, "name", "it")
        raise make_error(f"wait for {name}", "409", f"it is still {state(found)}.")
    return found


def _reason(error: Exception) -> tuple[str, str]:
    """Return an SDK error's status and code, and its message on one line."""
    kind, message = "", str(error).partition("\n")[0]
    if isinstance(error, HttpResponseError):
        kind = str(error.status_code or "")
        if error.error:  # the reason is often only in the details
            kind = f"{kind} {error.error.code}"
            parts = [error.error.message, *(part.message for part in error.error.details)]
            message = " ".join(part for part in parts if part)
    if isinstance(error, ClientAuthenticationError):
        kind = f"{kind} ClientAuthentication"
    elif isinstance(error, IncompleteReadError):
        kind, message = "no answer", "The connection broke during the response."
    elif isinstance(error, ServiceRequestError | ServiceResponseError):
        kind = "no answer"
    return kind, " ".join(message.split())[:500]
