"""The first identities on Azure, by infra/bootstrap/, and what they are called there."""

from __future__ import annotations

import json
import os
import re
from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any, Final

from mlops.connect.programs import INSTALL, Done, find, follow, must, run
from mlops.connect.settings import Settings
from mlops.connect.steps import Change, Record, Undo, Unseen, Waits
from mlops.errors import ConfigError, MlopsError
from mlops.waiting import wait_until

# The identities that infra/bootstrap/ makes, by the suffix of their environments.
IDENTITIES: Final = {"-infra": "terraform_identity", "-plan": "plan_identity"}
CI: Final = "ci_identity"  # made by infra/
GROUPS: Final = {"terraform_identity": "state_group", "plan_identity": "state_group"}
API_VERSION: Final = "2023-01-31"  # of Microsoft.ManagedIdentity
# A new role takes up to ten minutes to take effect.
ROLE_SECONDS: Final = 600
NOT_YET: Final = r"AuthorizationPermissionMismatch|AuthorizationFailure|status 403"
# What Terraform's people want to see of an apply: not the plan of new resources.
PROGRESS: Final = r": Creat|: Modif|: Destr|^Plan:|^Apply complete|Error:|^\W*│"
NO_RIGHTS: Final = r"AuthorizationFailed|does not have authorization"


@dataclass(frozen=True)
class Account:
    """Who is logged in to Azure, and where.

    Attributes
    ----------
    name :
        The subscription's.
    person :
        The name that somebody logs in with.
    """

    subscription: str
    tenant: str
    name: str
    person: str = ""


@dataclass
class Azure:
    """Azure, as whoever is logged in with `az`."""

    settings: Settings
    record: Record
    _account: Account | None = None
    _identities: dict[tuple[str, str], dict[str, Any]] = field(default_factory=dict)

    def account(self) -> Account:
        """Return the subscription that `az` or AZURE_SUBSCRIPTION_ID names.

        Raises
        ------
        Waits
            Nobody is logged in.
        """
        if self._account is None:
            given = os.environ.get("AZURE_SUBSCRIPTION_ID")
            found = self._az("account", "show", *(["--subscription", given] if given else []))
            if not isinstance(found, dict):
                raise _no_login()
            person = str((found.get("user") or {}).get("name", ""))
            self._account = Account(found["id"], found["tenantId"], found["name"], person)
        return self._account

    def login(self, environment: str, key: str) -> dict[str, str] | None:
        """Return the variables that identify an identity, or None if it does not exist yet."""
        client = self.client(environment, key)
        if client is None:
            return None
        account = self.account()
        return {
            "AZURE_CLIENT_ID": client,
            "AZURE_TENANT_ID": account.tenant,
            "AZURE_SUBSCRIPTION_ID": account.subscription,
        }

    def client(self, environment: str, key: str) -> str | None:
        """Return the client id of an identity, or None if it does not exist yet."""
        found = self.identity(environment, key)
        return str(found["clientId"]) if found else None

    def identity(self, environment: str, key: str) -> dict[str, Any] | None:
        """Return an identity as Azure describes it, or None if it does not exist yet."""
        if (environment, key) not in self._identities:
            found = self._az("identity", "show", *self._names("--name", environment, key))
            if found is None:
                return None
            self._identities[environment, key] = found
        return self._identities[environment, key]

    def roles(self) -> list[dict[str, Any]]:
        """Return all role assignments in the subscription."""
        words = ("role", "assignment", "list", "--all")
        found = self._az(*words, "--subscription", self.account().subscription)
        return list(found or ())

    def trusts(self, environment: str, key: str, subject: str, issuer: str) -> bool:
        """Return whether an identity trusts tokens with a subject."""
        if self.client(environment, key) is None:
            return False
        names = self._names("--identity-name", environment, key)
        found = self._az("identity", "federated-credential", "list", *names) or []
        return any((one["subject"], one["issuer"]) == (subject, issuer) for one in found)

    def bootstrap(self, environment: str, variables: Mapping[str, str]) -> Change:
        """Return the change that makes the state's storage and the identities of Terraform."""
        text = (
            f"terraform apply of infra/bootstrap in {self.account().name} "
            f"({self.account().subscription}): resource groups, storage for the state, identities "
            "that plan and apply"
        )
        return Change(text, lambda: self._bootstrap(environment, variables))

    def _bootstrap(self, environment: str, variables: Mapping[str, str]) -> None:
        folder = self.settings.root / "infra" / "bootstrap"
        commands = self.commands(environment, variables)
        given = {"ARM_SUBSCRIPTION_ID": self.account().subscription}
        try:
            find("terraform")
        except ConfigError as error:
            raise self._hand_over(str(error), commands) from error
        for words in commands:
            done = follow("terraform", *words, folder=folder, variables=given, shown=PROGRESS)
            if not done.code:
                continue
            found = re.search(r"Error: (.*)", done.errors)
            reason = found[1].strip() if found else done.reason
            text = f"Terraform could not apply infra/bootstrap for {environment}: {reason}"
            if re.search(NO_RIGHTS, done.errors):
                raise self._hand_over(text, commands)
            raise MlopsError(
                text,
                f"If somebody else applied it before, get infra/bootstrap/{environment}.tfstate "
                "from them; otherwise fix what Terraform shows above.",
            )
        for key in IDENTITIES.values():
            self.record.add(self._trust(environment, key))
        if not self.settings.private:
            self.open_state(environment)

    def commands(self, environment: str, variables: Mapping[str, str]) -> list[list[str]]:
        """Return the words after `terraform` that apply infra/bootstrap/."""
        file = self.settings.root / "infra" / "bootstrap" / f"{environment}.tfvars"
        given = [f"-var-file={file.name}"] if file.is_file() else []
        given += [f"-var={name}={value}" for name, value in variables.items()]
        apply = ["apply", "-input=false", "-auto-approve", "-no-color"]
        state = [f"-state={environment}.tfstate", f"-var=environment={environment}"]
        return [["init", "-input=false", "-no-color"], [*apply, *state, *given]]

    def open_state(self, environment: str) -> None:
        """Create the empty state of infra/: the identity that plans may only read it.

        Raises
        ------
        MlopsError
            The storage cannot be reached.
        """
        account = self.account().subscription
        storage = self.settings.resource("state_storage", environment, account)
        backend = f"-backend-config=storage_account_name={storage}"
        words = ("init", "-input=false", "-no-color", "-reconfigure", backend)
        folder, given = self.settings.root / "infra", {"ARM_SUBSCRIPTION_ID": account}
        done = wait_until(
            _is_settled,
            lambda: run("terraform", *words, folder=folder, variables=given),
            ROLE_SECONDS,
        )
        must(
            done,
            f"Terraform cannot open the state of {environment} in {storage}",
            "Check that infra/bootstrap was applied, and that you are among its operators "
            "(docs/infrastructure.md).",
        )

    def forget(self) -> None:
        """Ask Azure again for what may have been created meanwhile."""
        self._identities.clear()

    def record_trust(self, environment: str) -> None:
        """Record the credential that infra/ gave to CI's identity."""
        self.record.add(self._trust(environment, CI))

    def _trust(self, environment: str, key: str) -> Undo:
        name, group = self._place(environment, key)
        credential = self.settings.platform.replace("_", "-")
        path = (
            f"/subscriptions/{self.account().subscription}/resourceGroups/{group}/providers/"
            f"Microsoft.ManagedIdentity/userAssignedIdentities/{name}/"
            f"federatedIdentityCredentials/{credential}?api-version={API_VERSION}"
        )
        return Undo(f"the trust of {name} in the workflows' tokens", "azure", "DELETE", path)

    def _place(self, environment: str, key: str) -> tuple[str, str]:
        """Return the names of an identity and its group."""
        group = GROUPS.get(key, "resource_group")
        return self.settings.resource(key, environment), self.settings.resource(group, environment)

    def _names(self, option: str, environment: str, key: str) -> list[str]:
        name, group = self._place(environment, key)
        subscription = ["--subscription", self.account().subscription]
        return [option, name, "--resource-group", group, *subscription]

    def _hand_over(self, reason: str, commands: list[list[str]]) -> Waits:
        lines = [
            " ".join(["terraform", "-chdir=infra/bootstrap", *map(_quoted, words)])
            for words in commands
        ]
        return Waits(
            reason,
            "Give these commands to somebody with the roles of docs/infrastructure.md "
            "(Permissions to build), or run them yourself, and then connect again:\n  "
            + f"export ARM_SUBSCRIPTION_ID={self.account().subscription}\n  "
            + "\n  ".join(lines),
        )

    def _az(self, *words: str) -> Any:
        """Return what `az` answers, or None if it does not exist.

        Raises
        ------
        Waits
            There is no `az`, or nobody is logged in.
        Unseen
            Azure refused it.
        """
        try:
            done = run("az", *words, "--output", "json")
        except ConfigError as error:
            raise Waits("waits for Azure: az is not on the PATH", INSTALL["az"]) from error
        if not done.code:
            return json.loads(done.output or "null")
        if re.search(r"NotFound|was not found|could not be found", done.errors):
            return None
        if re.search(r"az login|AADSTS", done.errors):
            raise _no_login()
        fix = "Ask for the role Reader on the subscription, or fix what Azure says."
        raise Unseen(f"az {' '.join(words[:2])} failed: {done.reason}", fix)


def _no_login() -> Waits:
    fix = "az login, then choose: az account set --subscription NAME"
    return Waits("waits for Azure: `az` is not logged in", fix)


def _is_settled(done: Done) -> bool:
    """Return whether Terraform does not wait for a role to take effect; tell it if it does."""
    if done.code and re.search(NOT_YET, done.output + done.errors):
        print("    waits until the new role takes effect (up to ten minutes)", flush=True)
        return False
    return True


def _quoted(word: str) -> str:
    return f"'{word}'" if re.search(r"[^\w=./-]", word) else word
