"""The `az` commands that the projects use: a program on the PATH that forwards its arguments to the double."""

import json
import stat
import sys
import time
from collections.abc import Callable, Mapping
from dataclasses import dataclass, replace
from email.message import Message
from pathlib import Path
from typing import Any

from doubles import SUBSCRIPTION, TENANT
from doubles.cloud import Cloud
from doubles.entra import EXCHANGE
from doubles.identity import OBJECT
from doubles.roles import Need, Principal, needed
from doubles.web import OPEN, Answer, AzureError, DroppedError, Names, Request, Route

SHIM = '''#!{python}
"""Stand in for the Azure CLI: forward the arguments to the double at {url}."""
import json, os, ssl, sys, urllib.request
login = os.environ.get("DOUBLE_LOGIN", "")
body = json.dumps({{"arguments": sys.argv[1:], "cwd": os.getcwd(), "login": login}}).encode()
request = urllib.request.Request("{url}/_double/az", body, {{"Content-Type": "application/json"}})
context = ssl.create_default_context(cafile="{trusted}")
with urllib.request.urlopen(request, context=context) as answer:
    result = json.load(answer)
sys.stdout.write(result["stdout"])
sys.stderr.write(result["stderr"])
sys.exit(result["code"])
'''


@dataclass(frozen=True)
class Command:
    """A command: its words, its options, and its working directory."""

    words: tuple[str, ...]
    options: Mapping[str, list[str]]
    rest: tuple[str, ...]
    cwd: Path
    caller: str = OBJECT  # the object id of who is logged in

    def option(self, *names: str, default: str | None = None) -> str:
        """Return the value of an option by any of its names."""
        for name in names:
            if self.options.get(name):
                return self.options[name][0]
        if default is None:
            raise CliError(2, f"the following arguments are required: {'/'.join(names)}")
        return default

    def pairs(self, name: str) -> dict[str, str]:
        """Return the values of an option such as --tags a=1 b=2."""
        return dict(value.split("=", 1) for value in self.options.get(name, []) if "=" in value)


class CliError(Exception):
    """An error of the command line itself: exit code and text."""

    def __init__(self, code: int, message: str) -> None:
        super().__init__(message)
        self.code = code


Runner = Callable[[Command], Any]


class AzureCli:
    """The commands, by their words; results are printed as JSON."""

    def __init__(self, cloud: Cloud) -> None:
        self._cloud = cloud
        self._logins: dict[str, float] = {}
        self.commands: dict[str, Runner] = {
            "account get-access-token": self._token,
            "account show": self._account,
            "identity federated-credential list": self._federations,
            "identity show": self._identity,
            "role assignment list": self._assignments,
            "version": lambda _: {"azure-cli": "2.76.0", "extensions": {}},
        }

    def routes(self) -> list[Route]:
        return [Route("POST", "/_double/az", self._answer, OPEN)]

    def install(self, folder: Path) -> Path:
        """Write the program az into a folder for the PATH."""
        folder.mkdir(parents=True, exist_ok=True)
        program = folder / "az"
        text = SHIM.format(python=sys.executable, url=self._cloud.url, trusted=self._cloud.trusted)
        program.write_text(text, encoding="utf-8")
        program.chmod(program.stat().st_mode | stat.S_IXUSR | stat.S_IXGRP | stat.S_IXOTH)
        return program

    def _answer(self, request: Request, _: Names) -> Answer:
        content = request.json()
        arguments = content["arguments"]
        call = self._cloud.site.record("AZ", " ".join(arguments), {"arguments": arguments})
        login = self._cloud.access.find(content["login"])
        call["caller"] = login.name if login else ""
        result = self._run(arguments, Path(content["cwd"]), login.object if login else OBJECT)
        call["status"] = result["code"]
        return Answer(200, result)

    def _run(self, arguments: list[str], cwd: Path, caller: str) -> dict[str, Any]:
        try:
            command = replace(self._parse(arguments, cwd), caller=caller)
            request = Request("AZ", " ".join(arguments), {}, Message(), b"", "")
            self._wait_or_fail(request.call)
            output = self._cloud.faults.answer(
                request, lambda: Answer(200, self.commands[" ".join(command.words)](command))
            )
        except CliError as failure:
            return {"code": failure.code, "stdout": "", "stderr": f"ERROR: {failure}\n"}
        except AzureError as refusal:
            code, text = refusal.error["code"], refusal.error["message"]
            message = f"({code}) {text}\nCode: {code}\nMessage: {text}" if code else text
            return {"code": 1, "stdout": "", "stderr": f"ERROR: {message}\n"}
        except DroppedError:
            text = "('Connection aborted.', RemoteDisconnected('Remote end closed connection without response'))"
            return {"code": 1, "stdout": "", "stderr": f"ERROR: {text}\n"}
        return {"code": 0, "stdout": self._printed(command, output.content), "stderr": ""}

    def _wait_or_fail(self, call: str) -> None:
        """Apply the faults of long-running operations, which az waits for."""
        while fault := self._cloud.faults.take(call, operation=True):
            if fault.kind == "provisioning-fails":
                raise AzureError(400, "DeploymentFailed", fault.options.get("message", "The deployment failed."))
            time.sleep(fault.seconds)

    def _printed(self, command: Command, content: Any) -> str:
        if content is None:
            return ""
        if isinstance(content, str):
            return content
        for step in command.option("--query", default="").split("."):
            content = content[step] if step else content
        if command.option("--output", "-o", default="json") == "tsv" and isinstance(content, str | int | float):
            return f"{content}\n"
        return json.dumps(content, indent=2) + "\n"

    def _parse(self, arguments: list[str], cwd: Path) -> Command:
        names = sorted(self.commands, key=len, reverse=True)
        name = next((n for n in names if arguments[: len(n.split())] == n.split()), None)
        if name is None:
            raise CliError(2, f"'{' '.join(arguments[:2])}' is misspelled or not recognized by the system.")
        options: dict[str, list[str]] = {}
        rest: list[str] = []
        values = rest
        for argument in arguments[len(name.split()) :]:
            if argument.startswith("-"):
                values = options.setdefault(argument.partition("=")[0], [])
                if argument.startswith("--") and "=" in argument:
                    values.append(argument.partition("=")[2])
            else:
                values.append(argument)
        return Command(tuple(name.split()), options, tuple(rest), cwd)

    def _token(self, command: Command) -> dict[str, Any]:
        self._check_assertion(command.caller)
        resource = command.option("--resource", "--scope", default="https://management.core.windows.net/")
        token, expires = self._cloud.identity.issue(resource.removesuffix("/.default"), oid=command.caller)
        local = time.strftime("%Y-%m-%d %H:%M:%S.000000", time.localtime(expires))
        who = {"subscription": SUBSCRIPTION, "tenant": TENANT, "tokenType": "Bearer"}
        return {"accessToken": token, "expiresOn": local, "expires_on": expires, **who}

    def _check_assertion(self, caller: str) -> None:
        """Refuse a CI identity whose login is older than its assertion, which az keeps and cannot renew.

        Source: Azure/azure-cli#28708.
        """
        clients = {one.client for one in self._cloud.access.federations}
        by_assertion = any(one.object == caller and one.client in clients for one in self._cloud.access.principals)
        since = self._logins.setdefault(caller, time.time())
        if by_assertion and time.time() - since > self._cloud.identity.assertion:
            message = "AADSTS700024: Client assertion is not within its valid time range."
            raise AzureError(401, "", f"{message} Please run 'az login' to setup account.")

    def _identity(self, command: Command) -> dict[str, Any]:
        found = self._find(command, "--name", "-n")
        self._read(command, found.id)
        about = {"name": found.name, "clientId": found.client, "principalId": found.object, "tenantId": TENANT}
        return {"id": found.id, **about, "type": "Microsoft.ManagedIdentity/userAssignedIdentities"}

    def _federations(self, command: Command) -> list[dict[str, Any]]:
        found = self._find(command, "--identity-name")
        self._read(command, f"{found.id}/federatedIdentityCredentials")
        trusted = [one for one in self._cloud.access.federations if one.client == found.client]
        return [{"issuer": one.issuer, "subject": one.subject, "audiences": [EXCHANGE]} for one in trusted]

    def _find(self, command: Command, *names: str) -> Principal:
        """Return the identity that a command names, with its resource group."""
        name, group = command.option(*names), command.option("--resource-group", "-g")
        found = self._cloud.access.find(name)
        if found is None or f"/resourcegroups/{group}/".lower() not in found.id.lower():
            path = f"Microsoft.ManagedIdentity/userAssignedIdentities/{name}"
            message = f"The Resource '{path}' under resource group '{group}' was not found."
            raise AzureError(404, "ResourceNotFound", message)
        return found

    def _assignments(self, command: Command) -> list[dict[str, Any]]:
        """List all role assignments of the subscription, with --all."""
        if "--all" not in command.options:
            raise CliError(2, "the double lists all role assignments, with --all")
        path = f"/subscriptions/{SUBSCRIPTION}/providers/Microsoft.Authorization/roleAssignments"
        self._cloud.authorize(command.caller, [Need("Microsoft.Authorization/roleAssignments/read", path)])
        return [
            {"principalId": one.principal, "roleDefinitionName": one.role, "scope": one.scope}
            for one in self._cloud.access.assignments
        ]

    def _read(self, command: Command, path: str) -> None:
        self._cloud.authorize(command.caller, [needed("GET", path)])

    def _account(self, _: Command) -> dict[str, Any]:
        user = {"name": "tester@example.com", "type": "user"}
        return {
            "id": SUBSCRIPTION,
            "name": "Loopback",
            "tenantId": TENANT,
            "isDefault": True,
            "state": "Enabled",
            "user": user,
        }
