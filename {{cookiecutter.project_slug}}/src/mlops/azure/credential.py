"""The identity that commands have on Azure.

In CI it is the workflow's own, proved by tokens of the platform that are fetched again whenever
they are needed: `az login` and the login actions keep a single one, which expires within ten
minutes (AADSTS700024), before a release has ended.
"""

from __future__ import annotations

import json
import os
import urllib.parse
import urllib.request
from collections.abc import Mapping
from typing import TYPE_CHECKING, Final

from azure.identity import (
    AzurePipelinesCredential,
    ClientAssertionCredential,
    CredentialUnavailableError,
    DefaultAzureCredential,
)

from mlops.config import subscription
from mlops.errors import ConfigError, first_line

if TYPE_CHECKING:
    from azure.core.credentials import TokenCredential

AUDIENCE: Final = "api://AzureADTokenExchange"
SECONDS: Final = 30
GITHUB: Final = "ACTIONS_ID_TOKEN_REQUEST_URL"
PIPELINES: Final = "SYSTEM_OIDCREQUESTURI"
CONNECTION: Final = "AZURESUBSCRIPTION_SERVICE_CONNECTION_ID"


def make_credential(given: Mapping[str, str] = os.environ) -> TokenCredential:
    """Return the credential of GitHub Actions, of Azure Pipelines, or of this machine's login.

    Parameters
    ----------
    given : mapping of str to str
        The environment's variables.

    Raises
    ------
    ConfigError
        The workflow can get tokens, but does not say for which identity.
    """
    if GITHUB in given:
        _require(given, "AZURE_CLIENT_ID", "AZURE_TENANT_ID")
        return ClientAssertionCredential(
            given["AZURE_TENANT_ID"], given["AZURE_CLIENT_ID"], lambda: fetch_github_token(given)
        )
    if PIPELINES in given and CONNECTION in given:
        _require(given, "SYSTEM_ACCESSTOKEN")
        return AzurePipelinesCredential(
            tenant_id=given["AZURESUBSCRIPTION_TENANT_ID"],
            client_id=given["AZURESUBSCRIPTION_CLIENT_ID"],
            service_connection_id=given[CONNECTION],
            system_access_token=given["SYSTEM_ACCESSTOKEN"],
        )
    return DefaultAzureCredential()


def terraform_login(given: Mapping[str, str]) -> dict[str, str]:
    """Return variables with which Terraform logs in as the same identity, without a secret.

    Azure's provider and backend fetch the job's tokens themselves, again whenever they need one;
    a token in ARM_OIDC_TOKEN would come first, and expire.

    Raises
    ------
    ConfigError
        AZURE_SUBSCRIPTION_ID is not set, or the job does not say for which identity it gets tokens.
    """
    fixed = ("ARM_OIDC_TOKEN", "ARM_OIDC_TOKEN_FILE_PATH")
    kept = {name: value for name, value in given.items() if name not in fixed}
    kept["ARM_SUBSCRIPTION_ID"] = subscription()
    if GITHUB in given:
        _require(given, "AZURE_CLIENT_ID", "AZURE_TENANT_ID")
        client, tenant = given["AZURE_CLIENT_ID"], given["AZURE_TENANT_ID"]
    elif PIPELINES in given and CONNECTION in given:
        _require(given, "SYSTEM_ACCESSTOKEN")
        client, tenant = given["AZURESUBSCRIPTION_CLIENT_ID"], given["AZURESUBSCRIPTION_TENANT_ID"]
        kept["ARM_ADO_PIPELINE_SERVICE_CONNECTION_ID"] = given[CONNECTION]
    else:
        return kept
    oidc = {"ARM_USE_OIDC": "true", "ARM_USE_CLI": "false"}
    return {**kept, **oidc, "ARM_CLIENT_ID": client, "ARM_TENANT_ID": tenant}


def fetch_github_token(given: Mapping[str, str]) -> str:
    """Return a new token of this GitHub job, valid for five minutes.

    Raises
    ------
    CredentialUnavailableError
        GitHub gave none.
    """
    url = f"{given[GITHUB]}&audience={urllib.parse.quote(AUDIENCE, safe='')}"
    bearer = f"bearer {given.get('ACTIONS_ID_TOKEN_REQUEST_TOKEN', '')}"
    request = urllib.request.Request(url, headers={"Authorization": bearer})  # noqa: S310 -- GitHub's
    try:
        with urllib.request.urlopen(request, timeout=SECONDS) as answer:  # noqa: S310
            return str(json.load(answer)["value"])
    except (OSError, ValueError, KeyError) as error:
        message = f"GitHub gave this job no token ({first_line(error)})."
        raise CredentialUnavailableError(
            f"{message} The job needs `permissions: id-token: write`."
        ) from error


def _require(given: Mapping[str, str], *names: str) -> None:
    missing = [name for name in names if not given.get(name)]
    if missing:
        raise ConfigError(
            f"{' and '.join(missing)} {'are' if len(missing) > 1 else 'is'} not set in this job.",
            "AZURE_*: the variables of `terraform -chdir=infra output login` (for Terraform: of "
            "infra/bootstrap), in the job's environment. SYSTEM_ACCESSTOKEN: map it in the step, "
            "from $(System.AccessToken).",
        )
