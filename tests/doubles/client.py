"""Starts a double for a test, and calls its control endpoint. Needs only the standard library."""

import json
import os
import ssl
import subprocess
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any
from urllib.request import Request, urlopen

from doubles import SUBSCRIPTION, TENANT

PROGRAM = Path(__file__).with_name("arm.py")
CHANGING = ("PUT", "POST", "PATCH", "DELETE")
LOGINS = ("/oauth2/v2.0/token", "/pipelines/oidctoken")


@dataclass(frozen=True)
class Double:
    """A running double.

    Attributes
    ----------
    url, ca :
        Its address, and the certificate file of the authority that signed its certificate.
    environment :
        The variables that point clients to it instead of Azure; add them to your own.
    folder :
        Its data, for people to read.
    pid :
        Its process id.
    """

    url: str
    ca: str
    environment: dict[str, str]
    folder: Path
    pid: int

    def plant(self, kind: str, match: str, **settings: Any) -> None:
        """Make matching calls fail; the README lists the kinds and settings."""
        self._ask("POST", "faults", {"kind": kind, "match": match, **settings})

    def clear_faults(self) -> None:
        """Remove the faults that have not happened yet."""
        self._ask("DELETE", "faults")

    def faults_left(self) -> list[dict[str, Any]]:
        """Return the faults that have not been used up."""
        return list(self._ask("GET", "faults"))

    def calls(self) -> list[dict[str, Any]]:
        """Return every call so far, oldest first: method, path, query, body (if JSON) and status."""
        return list(self._ask("GET", "calls"))

    def changes(self, since: int, where: str = "") -> list[str]:
        """Return the calls since a number of them that asked for a change, with some text: method and path.

        Logins are none, although they are POST.
        """
        calls = [call for call in self.calls()[since:] if call["method"] in CHANGING]
        asked = [f"{call['method']} {call['path']}" for call in calls if not call["path"].endswith(LOGINS)]
        return [call for call in asked if where in call]

    def routes(self) -> list[tuple[str, str, bool]]:
        """Return the method and pattern of every route, and whether it requires a token."""
        return [(method, pattern, guarded) for method, pattern, guarded in self._ask("GET", "routes")]

    def needs(self) -> list[tuple[str, dict[str, Any], bool]]:
        """Return every check of a role so far: the identity's name, what it needed, and whether it was allowed."""
        return [(who, need, allowed) for who, need, allowed in self._ask("GET", "needs")]

    def assign(self, principal: str, role: str, scope: str, since: float | None) -> None:
        """Let an identity, by its object id, have a role over a scope from a time on; None takes it away."""
        content = {"principal": principal, "role": role, "scope": scope, "since": since}
        self._ask("POST", "assignments", content)

    def trust(self, old: str, new: str) -> None:
        """Let the identity that trusts tokens with a subject trust those with another one instead."""
        self._ask("POST", "federations", {"old": old, "new": new})

    def put(self, resources: Mapping[str, Mapping[str, Any] | None]) -> None:
        """Store the properties of resources by their paths in the subscription; None removes one."""
        self._ask("POST", "resources", {f"/subscriptions/{SUBSCRIPTION}{path}": one for path, one in resources.items()})

    def shorten(self, token: int, assertion: int) -> None:
        """Let tokens, and CI's proofs of identity, live for some seconds from now on."""
        self._ask("POST", "lifetimes", [token, assertion])

    def github_job(self, subject: str, client: str) -> dict[str, str]:
        """Return the variables of a GitHub job with `id-token: write`, by its token's subject and its identity."""
        return {
            **self.github_tokens(subject),
            "AZURE_AUTHORITY_HOST": self.url,
            "AZURE_TENANT_ID": TENANT,
            "AZURE_CLIENT_ID": client,
        }

    def github_tokens(self, subject: str) -> dict[str, str]:
        """Return the variables with which a GitHub job fetches its tokens, by their subject."""
        return {
            "ACTIONS_ID_TOKEN_REQUEST_URL": f"{self.url}/github/token?api-version=2.0",
            "ACTIONS_ID_TOKEN_REQUEST_TOKEN": subject,
        }

    def pipelines_job(self, connection: str, client: str) -> dict[str, str]:
        """Return the variables of a step of AzureCLI@2, by its service connection's id, with the job's token mapped."""
        token = {"SYSTEM_ACCESSTOKEN": "the job's"}
        return {**self.pipelines_agent(), **token, **self.service_connection(connection, client)}

    def pipelines_agent(self) -> dict[str, str]:
        """Return the variables by which every job of Azure Pipelines finds the double."""
        return {"SYSTEM_OIDCREQUESTURI": f"{self.url}/pipelines/oidctoken", "AZURE_AUTHORITY_HOST": self.url}

    def service_connection(self, connection: str, client: str) -> dict[str, str]:
        """Return the variables that AzureCLI@2 sets for a service connection, by its id and its identity."""
        return {
            "AZURESUBSCRIPTION_SERVICE_CONNECTION_ID": connection,
            "AZURESUBSCRIPTION_CLIENT_ID": client,
            "AZURESUBSCRIPTION_TENANT_ID": TENANT,
        }

    def _ask(self, method: str, name: str, content: Any = None) -> Any:
        body = None if content is None else json.dumps(content).encode()
        request = Request(f"{self.url}/_double/{name}", body, {"Content-Type": "application/json"}, method=method)
        with urlopen(request, context=ssl.create_default_context(cafile=self.ca), timeout=30) as answer:
            return json.load(answer)


@contextmanager
def running_double(
    python: Path,
    folder: Path,
    workspaces: Sequence[str] = (),
    resources: Sequence[str] = (),
    landing_zone: Mapping[str, Any] | None = None,
) -> Iterator[Double]:
    """Run a double in a folder until the block ends.

    Parameters
    ----------
    python :
        The Python of an environment with the requirements of a rendered project.
    workspaces, resources :
        Resources to create first: GROUP/NAME, and GROUP/PROVIDER/TYPE/NAME.
    landing_zone :
        Identities, their roles, and more resources; without it, everybody may do everything.
    """
    given = [word for name in workspaces for word in ("--workspace", name)]
    given += [word for name in resources for word in ("--resource", name)]
    command = [str(python), str(PROGRAM), "--folder", str(folder), "--until-stdin-ends", *given]
    folder.mkdir(parents=True, exist_ok=True)
    if landing_zone:
        zone = folder.with_suffix(".json")
        zone.write_text(json.dumps(landing_zone), encoding="utf-8")
        command += ["--landing-zone", str(zone)]
    with (
        folder.with_suffix(".errors").open("w") as errors,
        subprocess.Popen(
            command, stdin=subprocess.PIPE, stdout=subprocess.PIPE, stderr=errors, env=_plain()
        ) as process,
    ):
        try:
            assert process.stdout is not None
            line = process.stdout.readline()
            assert line, folder.with_suffix(".errors").read_text()
            yield Double(**json.loads(line), folder=folder, pid=process.pid)
        finally:
            process.terminate()


def _plain() -> dict[str, str]:
    """Return this environment without the variables that would redirect the double's own processes."""
    return {name: value for name, value in os.environ.items() if not name.startswith(("MLFLOW_", "AZURE", "MLOPS_"))}
