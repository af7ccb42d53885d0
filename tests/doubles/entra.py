"""Microsoft Entra's token endpoint, and the token services of CI platforms whose jobs log in there.

Sources: the request is azure-identity's (ClientAssertionCredential, AzurePipelinesCredential); the errors are those of
Azure/login#372 (AADSTS700024) and Azure/login#482 (AADSTS700213).
"""

import time
import uuid
from urllib.parse import parse_qsl

from doubles.cloud import Cloud
from doubles.web import OPEN, Answer, Names, Request, Route

EXCHANGE = "api://AzureADTokenExchange"
GITHUB = "https://token.actions.githubusercontent.com"


class Entra:
    """Exchanges the tokens of CI jobs for Azure's, by the federated credentials that Terraform made."""

    def __init__(self, cloud: Cloud) -> None:
        self._cloud = cloud

    def routes(self) -> list[Route]:
        return [
            Route("POST", "/{tenant}/oauth2/v2.0/token", self._exchange, OPEN),
            Route("GET", "/github/token", self._github, OPEN),
            Route("POST", "/pipelines/oidctoken", self._pipelines, OPEN),
        ]

    def _github(self, request: Request, _: Names) -> Answer:
        """Return a token of a GitHub job; in place of GitHub's request token, the double takes the job's subject."""
        subject = request.headers.get("Authorization", "").partition(" ")[2]
        token, _expires = self._cloud.identity.issue(
            request.query.get("audience", ""), self._cloud.identity.assertion, iss=GITHUB, sub=subject
        )
        return Answer(200, {"count": 1, "value": token})

    def _pipelines(self, request: Request, _: Names) -> Answer:
        """Return a token of a service connection; its id is the credential's subject here."""
        if not request.headers.get("Authorization", "").lower().startswith("bearer "):
            return Answer(401, None)
        connection = request.query.get("serviceConnectionId", "")
        match = [one for one in self._cloud.access.federations if one.subject.endswith(connection)]
        if not connection or not match:
            return Answer(404, {"message": "The service connection does not exist."})
        token, _expires = self._cloud.identity.issue(
            EXCHANGE, self._cloud.identity.assertion, iss=match[0].issuer, sub=match[0].subject
        )
        return Answer(200, {"oidcToken": token})

    def _exchange(self, request: Request, _: Names) -> Answer:
        form = dict(parse_qsl(request.body.decode()))
        claims = self._cloud.identity.read(form.get("client_assertion", "")) or {}
        client = form.get("client_id", "")
        if claims.get("exp", 0) < time.time():
            return self._refusal(700024, "Client assertion is not within its valid time range.")
        known = [one for one in self._cloud.access.federations if one.client == client]
        if not any((one.issuer, one.subject) == (claims.get("iss"), claims.get("sub")) for one in known):
            subject = claims.get("sub")
            text = f"No matching federated identity record found for presented assertion subject '{subject}'."
            return self._refusal(
                700213, f"{text} Check your federated identity credential Subject, Audience and Issuer."
            )
        if claims.get("aud") != EXCHANGE:
            return self._refusal(700212, f"No matching federated identity record found for audience '{claims['aud']}'.")
        who = next(one for one in self._cloud.access.principals if one.client == client)
        audience = form["scope"].removesuffix("/.default")
        token, expires = self._cloud.identity.issue(audience, oid=who.object, appid=client)
        lasts = int(expires - time.time())
        return Answer(
            200, {"token_type": "Bearer", "access_token": token, "expires_in": lasts, "ext_expires_in": lasts}
        )

    def _refusal(self, code: int, text: str) -> Answer:
        """Return Entra's own form of an error (microsoft/Agents#202)."""
        trace, correlation = uuid.uuid4(), uuid.uuid4()
        now = time.strftime("%Y-%m-%d %H:%M:%SZ", time.gmtime(time.time()))
        return Answer(
            401,
            {
                "error": "invalid_client",
                "error_description": f"AADSTS{code}: {text} Trace ID: {trace} Correlation ID: {correlation} "
                f"Timestamp: {now}",
                "error_codes": [code],
                "timestamp": now,
                "trace_id": str(trace),
                "correlation_id": str(correlation),
            },
        )
