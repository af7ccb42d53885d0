"""Plan infra/ and apply that very plan, before and after somebody has approved it."""

from __future__ import annotations

import re
import tempfile
from collections import Counter
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Final

from mlops.azure.plans import Plans
from mlops.azure.terraform import Tell, Terraform, find_terraform
from mlops.config import Environment, Project
from mlops.errors import AzureError, ConfigError

# What Terraform does with a resource, by the actions in a plan's JSON.
ACTIONS: Final = {
    ("create",): "add",
    ("update",): "change",
    ("delete",): "destroy",
    ("delete", "create"): "replace",
    ("create", "delete"): "replace",
    ("forget",): "forget",
}


@dataclass(frozen=True)
class Change:
    """What a plan does with a resource: a value of `ACTIONS`."""

    address: str
    action: str


@dataclass(frozen=True)
class Planned:
    """A stored plan.

    Attributes
    ----------
    changed :
        Whether there is anything to apply; it may be outputs only.
    text :
        The plan as Terraform shows it, without sensitive values.
    """

    environment: Environment
    digest: str
    changed: bool
    changes: tuple[Change, ...]
    text: str

    @property
    def headline(self) -> str:
        """Return what the plan does, in a few words."""
        where = self.environment.capitalize()
        if not self.changed:
            return f"{where} matches infra/."
        if not self.changes:
            return f"{where}: only outputs or addresses change."
        counts = Counter(change.action for change in self.changes)
        return f"{where}: {', '.join(f'{count} to {action}' for action, count in counts.items())}."


def plan(project: Project, environment: Environment, tell: Tell) -> Planned:
    """Plan the environment, and store the plan beside its state.

    Raises
    ------
    MlopsError
        Terraform is missing, cannot log in or fails, or the plan cannot be stored.
    """
    terraform, plans = _connect(project, environment, tell)
    with tempfile.TemporaryDirectory() as folder:
        file = Path(folder) / "plan"
        changed = terraform.plan(file)
        changes = tuple(_changes(terraform.content(file)))
        return Planned(environment, plans.add(file), changed, changes, terraform.text(file))


def apply(project: Project, environment: Environment, digest: str, tell: Tell) -> None:
    """Apply the stored plan with a digest, and remove it.

    Raises
    ------
    MlopsError
        The plan does not exist, was changed, is for another environment or no longer fits the
        state (nothing was applied); or Terraform failed.
    """
    if not re.fullmatch(r"[0-9a-f]{64}", digest):
        raise ConfigError(
            f"{digest!r} is not a plan: its name has 64 digits.",
            "Pass what the last line of `mlops infra plan` shows after plan=.",
        )
    terraform, plans = _connect(project, environment, tell)
    with tempfile.TemporaryDirectory() as folder:
        file = Path(folder) / "plan"
        plans.fetch(digest, file)
        planned = terraform.content(file)["variables"]["environment"]["value"]
        if planned != environment:
            raise AzureError(
                f"The plan {digest} is for {planned}, not for {environment}. Nothing was applied.",
                "Find out who stored it there. Then make a new plan.",
            )
        terraform.apply(file)
    plans.remove(digest)


def _connect(project: Project, environment: Environment, tell: Tell) -> tuple[Terraform, Plans]:
    """Return Terraform, connected to the environment's state, and the plans beside it."""
    terraform = find_terraform(project, environment, tell)
    account = project.azure.name("state_storage", environment)
    terraform.init(account)
    return terraform, Plans(account, environment)


def _changes(content: dict[str, Any]) -> list[Change]:
    """Return the resources that a plan changes."""
    found = [
        (one["address"], tuple(one["change"]["actions"]))
        for one in content.get("resource_changes", ())
    ]
    return [Change(address, ACTIONS[actions]) for address, actions in found if actions in ACTIONS]
