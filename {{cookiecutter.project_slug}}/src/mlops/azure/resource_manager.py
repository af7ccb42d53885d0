"""Read and change Azure's resources by their ids, where Azure ML's SDK does not."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, Final

from azure.ai.ml._azure_environments import _get_base_url_from_metadata  # also of other clouds
from azure.core.configuration import Configuration
from azure.core.credentials import TokenCredential
from azure.core.exceptions import (
    ClientAuthenticationError,
    HttpResponseError,
    ResourceExistsError,
    ResourceNotFoundError,
    map_error,
)
from azure.core.pipeline.policies import RetryPolicy
from azure.core.polling import LROPoller
from azure.core.rest import HttpRequest
from azure.mgmt.core import ARMPipelineClient
from azure.mgmt.core.exceptions import ARMErrorFormat
from azure.mgmt.core.policies import ARMChallengeAuthenticationPolicy
from azure.mgmt.core.polling.arm_polling import ARMPolling

POLL_SECONDS: Final = 5
ERRORS: Final = {
    401: ClientAuthenticationError,
    404: ResourceNotFoundError,
    409: ResourceExistsError,
}
# The API version of each kind of resource.
VERSIONS: Final = {
    "autoscalesettings": "2022-10-01",
    "containerGroups": "2023-05-01",
    "locations": "2024-10-01",  # of Azure ML
    "providers": "2021-04-01",
    "registries": "2023-07-01",
    "registries/tasks": "2019-04-01",  # with their runs
    "storageAccounts": "2023-05-01",
    "subscriptions": "2022-12-01",
    "vaults": "2023-07-01",
}

Resource = dict[str, Any]


class ResourceManager:
    """A client of Azure Resource Manager; its errors are those of the SDK."""

    def __init__(self, credential: TokenCredential) -> None:
        url = _get_base_url_from_metadata()
        config: Configuration[Any, Any] = Configuration()
        config.retry_policy = RetryPolicy()
        config.authentication_policy = ARMChallengeAuthenticationPolicy(
            credential, f"{url.rstrip('/')}/.default"
        )
        self._client: ARMPipelineClient[Any, Any] = ARMPipelineClient(url, config=config)

    def send(
        self, method: str, path: str, kind: str, body: Mapping[str, Any] | None = None
    ) -> Resource:
        """Send a request, wait until its operation has ended, and return the result.

        Parameters
        ----------
        path : str
            The id of a resource, for POST followed by the action.
        kind : str
            A key of `VERSIONS`.
        """
        url = self._client.format_url(path)
        request = HttpRequest(method, url, params={"api-version": VERSIONS[kind]}, json=body)
        response = self._client.send_request(request, _return_pipeline_response=True)
        answer = response.http_response
        if answer.status_code >= 400:
            map_error(answer.status_code, answer, ERRORS)
            raise HttpResponseError(response=answer, error_format=ARMErrorFormat)
        if method == "GET" or answer.status_code == 204:
            return _content(response)
        polling = ARMPolling(POLL_SECONDS)
        ended: Resource = LROPoller(self._client, response, _content, polling).result()
        return ended


def _content(response: Any) -> Resource:
    """Return the JSON of a response, which may be empty."""
    answer = response.http_response
    content: Resource = answer.json() if answer.content else {}
    return content
