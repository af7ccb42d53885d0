"""The way to a workspace, and what Azure's errors mean to whoever meets them."""

from __future__ import annotations

import contextlib
import io
import logging
import os
import re
import time
from collections.abc import Callable, Iterator
from typing import TYPE_CHECKING, Any, Final, TypeVar

from mlops.azure.names import names
from mlops.config import Project
from mlops.errors import AzureError, ConfigError

if TYPE_CHECKING:
    from azure.ai.ml import MLClient
    from azure.core.credentials import TokenCredential
    from azure.core.polling import LROPoller

Result = TypeVar("Result")

AGAIN: Final = "run the same command again"
# What is looked for in "STATUS CODE: message", what to do about it; the first that is found counts.
FIXES: Final = (
    (
        r"AuthorizationFailed|AuthorizationPermissionMismatch|^403\b",
        "Give whoever runs this the role `AzureML Data Scientist` on the workspace's resource "
        "group (for storage: `Storage Blob Data Contributor`). Terraform does so for the "
        f"identities that it makes. Then {AGAIN}.",
    ),
    (
        r"ClientAuthentication|^401\b",
        f"Log in again: `az login`, or in CI the step that logs in with OIDC. Then {AGAIN}.",
    ),
    (
        r"[Qq]uota|SkuNotAvailable|OutOfCapacity",
        "Ask for more quota (portal: Quotas), or for less in project.yml: instance_type, instances "
        f"or azure.compute. Then {AGAIN}.",
    ),
    (
        r"(Subscription|ResourceGroup|Workspace)NotFound|/workspaces/[^/']+' under",
        "Create it first, with Terraform or as docs/azure.md says; or correct "
        f"AZURE_SUBSCRIPTION_ID, or azure.prefix in project.yml. Then {AGAIN}.",
    ),
    (
        r"ResourceNotReady|ImageBuildFailure",
        f"Mend what the log tells of: it lies in the version, or in its image. Then {AGAIN}.",
    ),
    (
        r"^409\b",
        f"Something else is changing it: wait until that is done, then {AGAIN}.",
    ),
    (
        r"^429\b",
        f"Azure limits how often it may be asked: wait some minutes, then {AGAIN}.",
    ),
    (
        r"^no answer",
        f"Check the network, and proxies and firewalls on the way to Azure. Then {AGAIN}.",
    ),
)


def connect(
    project: Project, environment: str, credential: TokenCredential | None = None
) -> MLClient:
    """A client of the workspace of ``staging`` or ``production``, which has been seen to exist.

    Parameters
    ----------
    credential : TokenCredential, optional
        Who asks; by default whoever `DefaultAzureCredential` finds.

    Raises
    ------
    ConfigError
        AZURE_SUBSCRIPTION_ID is not set.
    AzureError
        There is no such workspace, or no access to it.
    """
    subscription = os.environ.get("AZURE_SUBSCRIPTION_ID")
    if not subscription:
        raise ConfigError(
            "AZURE_SUBSCRIPTION_ID is not set.",
            "Set it to the id of your subscription: `az account show --query id`.",
        )
    from azure.ai.ml import MLClient
    from azure.identity import DefaultAzureCredential

    called = names(project, environment)
    with azure_errors(f"reach the workspace {called.workspace} in {called.resource_group}"):
        client = MLClient(
            credential or DefaultAzureCredential(),
            subscription,
            called.resource_group,
            called.workspace,
            show_progress=False,
            enable_telemetry=False,
            retry_on_status_codes=[401],  # with a new token: one may expire on the way
        )
        client.workspaces.get(called.workspace)
    return client


@contextlib.contextmanager
def azure_errors(what: str) -> Iterator[None]:
    """Ask Azure something: quietly, and a failure becomes an `AzureError` with what to do.

    Parameters
    ----------
    what : str
        Completes "Could not ...".
    """
    from azure.core.exceptions import AzureError as SdkError

    try:
        with _hush():
            yield
    except SdkError as error:
        raise explained(what, *_reason(error)) from error


@contextlib.contextmanager
def _hush() -> Iterator[None]:
    """Keep the SDK's dots, colours and notes to itself: what counts is raised, and said once."""
    nowhere = io.StringIO()
    disabled = logging.root.manager.disable
    logging.disable(logging.CRITICAL)
    try:
        with contextlib.redirect_stdout(nowhere), contextlib.redirect_stderr(nowhere):
            yield
    finally:
        logging.disable(disabled)


def explained(what: str, kind: str, reason: str) -> AzureError:
    """The error for what could not be done.

    Parameters
    ----------
    what : str
        Completes "Could not ...".
    kind : str
        The HTTP status and Azure's code, where there are any.
    reason : str
        In Azure's words.
    """
    text = f"{kind}: {reason}"
    fixes = [fix for pattern, fix in FIXES if re.search(pattern, text)]
    fix = fixes[0] if fixes else f"{AGAIN.capitalize()}."
    return AzureError(f"Could not {what}: {reason}", fix)


def wait_until_visible(look: Callable[[], Result], seconds: float = 60) -> Result:
    """What ``look`` returns, once Azure finds there what has just been made."""
    from azure.core.exceptions import ResourceNotFoundError

    until = time.monotonic() + seconds
    pause = 0.2
    while True:
        try:
            return look()
        except ResourceNotFoundError:
            if time.monotonic() + pause > until:
                raise
        time.sleep(pause)
        pause = min(2 * pause, 10)


def finish(poller: LROPoller[Any], look: Callable[[], object]) -> None:
    """Wait until an operation has ended; its outcome may be found a little later than its end."""
    from azure.core.exceptions import HttpResponseError

    try:
        poller.result()
    except HttpResponseError as error:
        if error.status_code != 404:
            raise
        wait_until_visible(look)


def state(thing: Any) -> str:
    """The provisioning state of an endpoint or a deployment, in small letters."""
    return (thing.provisioning_state or "").lower()


def is_idle(thing: Any) -> bool:
    """Whether nothing is being done to an endpoint or a deployment."""
    return state(thing) not in {"creating", "updating", "deleting", "scaling"}


def wait_until_idle(look: Callable[[], Result], minutes: float = 30) -> Result:
    """What ``look`` returns, once an operation on it has ended that somebody else began."""
    until = time.monotonic() + 60 * minutes
    pause = 0.5
    while True:
        thing = look()
        if thing is None or is_idle(thing):
            return thing
        if time.monotonic() > until:
            name = getattr(thing, "name", "it")
            raise explained(f"wait for {name}", "409", f"it is {state(thing)}.")
        time.sleep(pause)
        pause = min(2 * pause, 10)


def _reason(error: Exception) -> tuple[str, str]:
    """An SDK error's status and code, and what it says on one line."""
    from azure.core.exceptions import (
        ClientAuthenticationError,
        HttpResponseError,
        IncompleteReadError,
        ServiceRequestError,
        ServiceResponseError,
    )

    kind, said = "", str(error).partition("\n")[0]
    if isinstance(error, HttpResponseError):
        kind = str(error.status_code or "")
        if error.error:  # the reason is often in the details alone
            kind = f"{kind} {error.error.code}"
            parts = [error.error.message, *(part.message for part in error.error.details)]
            said = " ".join(part for part in parts if part)
    if isinstance(error, ClientAuthenticationError):
        kind = f"{kind} ClientAuthentication"
    elif isinstance(error, IncompleteReadError):
        kind, said = "no answer", "The connection broke in the middle of the answer."
    elif isinstance(error, ServiceRequestError | ServiceResponseError):
        kind = "no answer"
    return kind, " ".join(said.split())[:500]
