"""The targets on Azure ML: an online endpoint with the deployments blue and green, also on AKS."""

from __future__ import annotations

import contextlib
import re
from collections.abc import Mapping
from pathlib import Path
from typing import ClassVar, Final

from azure.ai.ml import MLClient
from azure.ai.ml.entities import OnlineDeployment, OnlineEndpoint

from mlops.azure import specs
from mlops.azure.images import Images
from mlops.azure.targets.autoscale import Autoscale
from mlops.azure.workspace import (
    azure_errors,
    find,
    is_idle,
    other_operation,
    put,
    state,
    wait_until_idle,
)
from mlops.config import Environment, ManagedEndpoint, Project
from mlops.errors import AzureError
from mlops.model import tags
from mlops.release.client import last_error, send_rows
from mlops.release.pending import OtherRelease, read_note, write_note
from mlops.release.target import SLOTS, Answer, EndpointState, PendingRelease, Slot
from mlops.waiting import wait_until

LOG_LINES: Final = 200
# A new endpoint's identity gets its right to pull images with a delay.
ROLE_SECONDS: Final = 15 * 60
ROLE_DELAYED: Final = re.compile(r"ACRTokenExchange|role assignment takes some time")


class ManagedTarget:
    """An environment's online endpoint; the note of a pending release is one of its tags."""

    keeps_previous: ClassVar[bool] = False

    def __init__(
        self,
        project: Project,
        environment: Environment,
        client: MLClient,
        images: Images,
        autoscale: Autoscale | None = None,
    ) -> None:
        self._project = project
        self._environment = environment
        self._client = client
        self._images = images
        self._autoscale = autoscale
        self._name = project.azure.name("endpoint", environment)
        self._settings = settings = project.endpoint(environment)
        self.mirror = settings.mirror if isinstance(settings, ManagedEndpoint) else 0
        self._address = ""
        self._token = ""

    @property
    def address(self) -> str:
        if not self._address:
            endpoint = self._find()
            self._address = str(endpoint.scoring_uri or "") if endpoint else ""
        return self._address

    def describe(self) -> EndpointState:
        endpoint = self._find()
        if endpoint is None:
            return EndpointState()
        deployments = self._deployments()
        slots = {
            name: Slot(
                int(deployment.tags.get(tags.VERSION, 0)),
                deployment.tags.get(tags.MODEL_DIGEST, ""),
                state(deployment) == "succeeded",
            )
            for name, deployment in deployments.items()
            if name in SLOTS  # others are not ours
        }
        changing = not all(map(is_idle, [endpoint, *deployments.values()]))
        return EndpointState(slots, _nonzero(endpoint.traffic), self._read_note(endpoint, changing))

    def prepare(self, version: int, digest: str, model: Path) -> None:
        self._images.provide_environment()

    def record_pending(self, release: PendingRelease | None) -> None:
        endpoint = wait_until_idle(self._find)
        if endpoint is None:
            if release is None:
                return
            endpoint = self._plan()
        self._read_note(endpoint)
        with other_operation(self._name) if release else contextlib.nullcontext():
            self._put(endpoint, release)

    def deploy(self, slot: str, version: int, digest: str, model: Path) -> None:
        def attempt() -> AzureError | None:
            self.remove(slot)  # a deployment that failed cannot be changed
            try:
                self._create(slot, version, digest)
            except AzureError as error:
                return error
            return None

        error = wait_until(lambda error: not _may_pass(error), attempt, ROLE_SECONDS)
        if error:
            raise AzureError(f"{error}{self._read_log(slot)}", error.fix) from error
        if self._autoscale:
            self._autoscale.start(slot, str(self._deployments()[slot].id))

    def _create(self, slot: str, version: int, digest: str) -> None:
        with azure_errors(f"deploy version {version} to {self._name}"):
            wanted = specs.deployment(self._project, self._environment, slot, version, digest)
            if self._autoscale:  # ready for the load that the live slot has grown to
                others = [int(one.instance_count or 0) for one in self._deployments().values()]
                wanted.instance_count = max([wanted.instance_count or 1, *others])
            put(self._client.online_deployments, wanted, self._name)

    def set_traffic(
        self, traffic: Mapping[str, int], mirror: Mapping[str, int] | None = None
    ) -> None:
        endpoint = wait_until_idle(self._find)
        if endpoint is None:
            return
        pending = self._read_note(endpoint)
        if pending is None:  # it was written over, by a release that has ended since
            raise OtherRelease(
                f"Another release has changed {self._name}.", "Run the same command again."
            )
        wanted = _nonzero(traffic), _nonzero(mirror)
        if wanted != (_nonzero(endpoint.traffic), _nonzero(endpoint.mirror_traffic)):
            endpoint.traffic, endpoint.mirror_traffic = wanted
            self._put(endpoint, pending)

    def invoke(self, body: bytes, slot: str | None = None) -> Answer:
        answer = self._send(body, slot)
        if answer.status == 401:  # tokens expire after an hour
            self._token = ""
            answer = self._send(body, slot)
        return answer

    def remove(self, slot: str) -> None:
        if wait_until_idle(lambda: self._deployments().get(slot)) is None:
            return
        if self._autoscale:
            self._autoscale.stop(slot)
        with azure_errors(f"remove the {slot} slot of {self._name}"):
            self._client.online_deployments.begin_delete(slot, self._name).result()

    def _plan(self) -> OnlineEndpoint:
        """Return the endpoint to create."""
        with azure_errors(f"describe the endpoint {self._name}"):
            return specs.endpoint(self._project, self._environment)

    def _find(self) -> OnlineEndpoint | None:
        with azure_errors(f"read the endpoint {self._name}"):
            return find(lambda: self._client.online_endpoints.get(self._name))

    def _deployments(self) -> dict[str, OnlineDeployment]:
        operations = self._client.online_deployments
        with azure_errors(f"read the deployments of {self._name}"):
            found = find(lambda: list(operations.list(self._name))) or []
        return {str(deployment.name): deployment for deployment in found}

    def _read_note(self, endpoint: OnlineEndpoint, changing: bool = False) -> PendingRelease | None:
        note = (endpoint.tags or {}).get(tags.PENDING_RELEASE)
        return read_note(note, self._project.root, self._environment, changing)

    def _put(self, endpoint: OnlineEndpoint, release: PendingRelease | None) -> None:
        """Write the endpoint with the note of a release; until it has ended, no other one can."""
        endpoint.tags = dict(endpoint.tags or {})
        endpoint.tags.pop(tags.PENDING_RELEASE, None)
        if release:
            endpoint.tags[tags.PENDING_RELEASE] = write_note(release)
        with azure_errors(f"change the endpoint {self._name}"):
            put(self._client.online_endpoints, endpoint)

    def _send(self, body: bytes, slot: str | None) -> Answer:
        if not self._token:
            self._token = self._new_token()
        headers = {"Authorization": f"Bearer {self._token}"}
        if slot:
            headers["azureml-model-deployment"] = slot
        timeout_s = self._settings.timeout_s + 5  # the endpoint times out first, with a reason
        return send_rows(self.address, body, timeout_s, headers)

    def _new_token(self) -> str:
        with azure_errors(f"get a token for {self._name}"):
            credentials = self._client.online_endpoints.get_keys(self._name)
        token = getattr(credentials, "access_token", None)
        if token is None:
            raise AzureError(
                f"The endpoint {self._name} uses key authentication instead of tokens.",
                "It was not created by `mlops`, and clients may be using its keys. Once they have "
                "moved, delete it, which ends what it serves, and run the same command again.",
            )
        return str(token)

    def _read_log(self, slot: str) -> str:
        """Return the last error in the log of a slot's container, as a sentence."""
        with contextlib.suppress(AzureError), azure_errors("read the log"):
            log = self._client.online_deployments.get_logs(slot, self._name, LOG_LINES)
            return f" The container's log says: {last_error(log)}"
        return ""


class KubernetesTarget(ManagedTarget):
    """An online endpoint in your own AKS cluster, which is attached to the workspace.

    Clients authenticate with the endpoint's own token; Microsoft Entra is not supported.
    """

    def _plan(self) -> OnlineEndpoint:
        name = self._project.azure.name("attached_cluster", self._environment)
        with azure_errors(f"read the compute {name}"):
            attached = find(lambda: self._client.compute.get(name))
        if attached is None:
            raise AzureError(
                f"No AKS cluster is attached to the workspace as {name}.",
                "Attach it once, as an identity that may apply infra/: run the command that "
                "`terraform -chdir=infra output -raw attach` prints. Then run the same command "
                "again.",
            )
        return super()._plan()


def _may_pass(error: AzureError | None) -> bool:
    """Return whether a deployment failed for want of a role that takes effect late."""
    return error is not None and ROLE_DELAYED.search(str(error)) is not None


def _nonzero(traffic: Mapping[str, int] | None) -> dict[str, int]:
    return {slot: int(percent) for slot, percent in (traffic or {}).items() if percent}
