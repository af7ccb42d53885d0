"""How commands log in: as the job of a CI platform, proved anew for every token, or as whoever is logged in."""

import base64
import json
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from doubles import SUBSCRIPTION, TENANT
from doubles.client import Double, running_double
from doubles.session import RemoteError, running_session
from rendering import Render

GITHUB = "repo:ORG/credit-risk:environment:staging"
CONNECTION = "00000000-0000-4000-8000-000000000003"
LANDING_ZONE = {
    "principals": [{"name": "ci", "id": "/ci", "client": "client-of-ci", "object": "object-of-ci"}],
    "assignments": [{"principal": "object-of-ci", "role": "Reader", "scope": f"/subscriptions/{SUBSCRIPTION}"}],
    "federations": [
        {"client": "client-of-ci", "issuer": "https://token.actions.githubusercontent.com", "subject": GITHUB},
        {
            "client": "client-of-ci",
            "issuer": f"https://login.microsoftonline.com/{TENANT}/v2.0",
            "subject": f"/eid1/c/pub/t/x/a/y/sc/z/{CONNECTION}",
        },
    ],
}
LOG_IN = """
from mlops.azure.credential import make_credential
credential = make_credential()
[credential.get_token("https://ml.azure.com/.default").token, type(credential).__name__]
"""


@pytest.fixture(scope="module")
def azure(project_python: Path, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Double]:
    with running_double(
        project_python, tmp_path_factory.mktemp("logins") / "azure", landing_zone=LANDING_ZONE
    ) as double:
        yield double


def github(azure: Double, **changes: str) -> dict[str, str]:
    """Return the variables of a GitHub job with `id-token: write`."""
    return {**azure.github_job(GITHUB, "client-of-ci"), **changes}


def pipelines(azure: Double, **changes: str) -> dict[str, str]:
    """Return the variables of a job of Azure Pipelines."""
    return {**azure.pipelines_job(CONNECTION, "client-of-ci"), **changes}


def log_in(azure: Double, render: Render, python: Path, variables: dict[str, str]) -> tuple[dict[str, Any], str]:
    """Log in with some variables; return the token's claims and the kind of the credential."""
    project = render({})
    environment = {
        **azure.environment,
        "AZURE_AUTHORITY_HOST": azure.url,
        "PYTHONPATH": str(project / "src"),
        **variables,
    }
    with running_session(python, environment, project) as session:
        token, kind = session(LOG_IN)
    return json.loads(base64.urlsafe_b64decode(token.split(".")[1] + "==")), kind


@pytest.mark.parametrize(
    ("platform", "kind"), [(github, "ClientAssertionCredential"), (pipelines, "AzurePipelinesCredential")]
)
def test_a_job_logs_in_as_its_identity(
    platform: Any, kind: str, azure: Double, render: Render, project_python: Path
) -> None:
    claims, found = log_in(azure, render, project_python, platform(azure))
    assert (claims["oid"], found) == ("object-of-ci", kind)


def test_elsewhere_whoever_is_logged_in_is_used(azure: Double, render: Render, project_python: Path) -> None:
    claims, kind = log_in(azure, render, project_python, {"DOUBLE_LOGIN": "ci"})
    assert (claims["oid"], kind) == ("object-of-ci", "DefaultAzureCredential")


@pytest.mark.parametrize(
    ("platform", "changes", "error"),
    [
        (github, {"ACTIONS_ID_TOKEN_REQUEST_TOKEN": "repo:ORG/credit-risk:pull_request"}, "AADSTS700213.*pull_request"),
        (github, {"AZURE_CLIENT_ID": "client-of-another"}, "AADSTS700213"),
        (
            github,
            {"AZURE_CLIENT_ID": "", "AZURE_TENANT_ID": ""},
            "AZURE_CLIENT_ID and AZURE_TENANT_ID are not set in this",
        ),
        (github, {"ACTIONS_ID_TOKEN_REQUEST_URL": "http://127.0.0.1:1/?"}, "gave this job no token.*id-token: write"),
        (pipelines, {"SYSTEM_ACCESSTOKEN": ""}, "SYSTEM_ACCESSTOKEN is not set in this job"),
        (pipelines, {"AZURESUBSCRIPTION_CLIENT_ID": "client-of-another"}, "AADSTS700213"),
    ],
)
def test_a_job_that_cannot_log_in_is_told_why(
    platform: Any, changes: dict[str, str], error: str, azure: Double, render: Render, project_python: Path
) -> None:
    with pytest.raises(RemoteError, match=error):
        log_in(azure, render, project_python, platform(azure, **changes))
