"""The target on Azure ML: an online endpoint whose deployments blue and green are the slots."""

from __future__ import annotations

import contextlib
from collections.abc import Mapping
from pathlib import Path
from typing import TYPE_CHECKING, ClassVar, Final

from mlops.azure import specs
from mlops.azure.assets import provide_environment
from mlops.azure.names import names
from mlops.azure.workspace import (
    azure_errors,
    finish,
    is_idle,
    state,
    wait_until_idle,
    wait_until_visible,
)
from mlops.config import Endpoint, Project
from mlops.errors import AzureError
from mlops.release.client import send_rows
from mlops.release.log import last_error
from mlops.release.pending import read_note, write_note
from mlops.release.target import SLOTS, Answer, EndpointState, PendingRelease, Slot

if TYPE_CHECKING:
    from azure.ai.ml import MLClient
    from azure.ai.ml.entities import OnlineDeployment, OnlineEndpoint

NOTE: Final = "mlops.release"
LOG_LINES: Final = 200


class ManagedTarget:
    """The managed online endpoint of an environment; the note of a release is a tag of it."""

    mirrors: ClassVar[bool] = True
    keeps_previous: ClassVar[bool] = False

    def __init__(self, project: Project, environment: str, client: MLClient) -> None:
        self._project = project
        self._environment = environment
        self._client = client
        self._name = names(project, environment).endpoint
        self._settings: Endpoint = getattr(project.serving, environment)
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
                int(deployment.tags.get(specs.VERSION_TAG, 0)),
                deployment.tags.get(specs.DIGEST_TAG, ""),
                state(deployment) == "succeeded",
            )
            for name, deployment in deployments.items()
            if name in SLOTS  # any other is somebody's own
        }
        changing = not all(map(is_idle, [endpoint, *deployments.values()]))
        note = (endpoint.tags or {}).get(NOTE)
        pending = read_note(note, changing) if note else None
        return EndpointState(slots, _shares(endpoint.traffic), pending)

    def record_pending(self, release: PendingRelease | None) -> None:
        endpoint = wait_until_idle(self._find)
        if endpoint is None:
            if release is None:
                return
            endpoint = self._planned()
        tags = {key: value for key, value in (endpoint.tags or {}).items() if key != NOTE}
        endpoint.tags = {**tags, NOTE: write_note(release)} if release else tags
        self._put(endpoint)

    def deploy(self, slot: str, version: int, digest: str, model: Path) -> None:
        self.remove(slot)
        provide_environment(self._project, self._client)
        uri = f"azureml:{self._project.project}:{version}"
        operations = self._client.online_deployments
        try:
            with azure_errors(f"deploy version {version} to {self._name}"):
                deployment = specs.deployment(
                    self._project, self._environment, slot, uri, digest, version
                )
                poller = operations.begin_create_or_update(deployment)
                finish(poller, lambda: operations.get(slot, self._name))
        except AzureError as error:
            raise AzureError(f"{error}{self._last_words(slot)}", error.fix) from error

    def set_traffic(
        self, traffic: Mapping[str, int], mirror: Mapping[str, int] | None = None
    ) -> None:
        endpoint = wait_until_idle(self._find)
        if endpoint is None:
            return
        wanted = _shares(traffic), _shares(mirror)
        if wanted != (_shares(endpoint.traffic), _shares(endpoint.mirror_traffic)):
            endpoint.traffic, endpoint.mirror_traffic = wanted
            self._put(endpoint)

    def invoke(self, body: bytes, slot: str | None = None) -> Answer:
        answer = self._send(body, slot)
        if answer.status == 401:  # a token lasts an hour, a release may take longer
            self._token = ""
            answer = self._send(body, slot)
        return answer

    def remove(self, slot: str) -> None:
        if wait_until_idle(lambda: self._deployments().get(slot)) is None:
            return
        with azure_errors(f"remove the {slot} slot of {self._name}"):
            self._client.online_deployments.begin_delete(slot, self._name).result()

    def _planned(self) -> OnlineEndpoint:
        """The endpoint that is to be made."""
        with azure_errors(f"describe the endpoint {self._name}"):
            return specs.endpoint(self._project, self._environment)

    def _find(self) -> OnlineEndpoint | None:
        from azure.core.exceptions import ResourceNotFoundError

        with azure_errors(f"read the endpoint {self._name}"):
            try:
                found: OnlineEndpoint = self._client.online_endpoints.get(self._name)
                return found
            except ResourceNotFoundError:
                return None

    def _deployments(self) -> dict[str, OnlineDeployment]:
        from azure.core.exceptions import ResourceNotFoundError

        with azure_errors(f"read the deployments of {self._name}"):
            try:
                found = list(self._client.online_deployments.list(self._name))
            except ResourceNotFoundError:
                return {}
        return {str(deployment.name): deployment for deployment in found}

    def _put(self, endpoint: OnlineEndpoint) -> None:
        operations = self._client.online_endpoints
        with azure_errors(f"change the endpoint {self._name}"):
            finish(operations.begin_create_or_update(endpoint), lambda: operations.get(self._name))
            wait_until_visible(lambda: operations.get(self._name))

    def _send(self, body: bytes, slot: str | None) -> Answer:
        if not self._token:
            self._token = self._new_token()
        headers = {"Authorization": f"Bearer {self._token}"}
        if slot:
            headers["azureml-model-deployment"] = slot
        patience = self._settings.timeout_s + 5  # the endpoint gives up first, and says so
        return send_rows(self.address, body, patience, headers)

    def _new_token(self) -> str:
        with azure_errors(f"get a token for {self._name}"):
            shown = self._client.online_endpoints.get_keys(self._name)
        token = getattr(shown, "access_token", None)
        if token is None:
            raise AzureError(
                f"The endpoint {self._name} was made with keys, which are secrets to keep.",
                "Delete it, and the same command makes it anew, with tokens.",
            )
        return str(token)

    def _last_words(self, slot: str) -> str:
        """Why the container of a slot failed, by its log."""
        with contextlib.suppress(AzureError), azure_errors("read the log"):
            log = self._client.online_deployments.get_logs(slot, self._name, LOG_LINES)
            return f" The container's log says: {last_error(log)}"
        return ""


def _shares(traffic: Mapping[str, int] | None) -> dict[str, int]:
    return {slot: int(share) for slot, share in (traffic or {}).items() if share}
