"""All steps from a rendered project to its first training on Azure, on GitHub."""

from __future__ import annotations

from functools import partial
from typing import Final

from mlops.connect.azure import CI, IDENTITIES, Azure
from mlops.connect.github import protection
from mlops.connect.github.environments import NAMES, Environments
from mlops.connect.github.repository import Repository
from mlops.connect.github.runs import Runs
from mlops.connect.settings import Settings
from mlops.connect.steps import Change, Choices, Record, Step, Undo, Waits
from mlops.naming import ENVIRONMENTS

READY: Final = "AZURE_READY"
RUNNERS: Final = ("RUNNER_STAGING", "RUNNER_PRODUCTION")
BUILD: Final = (
    "start the workflow, which applies infra/ to staging and, after an approval of its plan, to "
    "production"
)
TRAIN: Final = "start the workflow"
PAGE: Final = "docs/infrastructure.md"


class Wiring:
    """The steps, in their order."""

    def __init__(self, settings: Settings, record: Record, choices: Choices) -> None:
        self._settings = settings
        self._choices = choices
        self._repository = Repository(settings, record)
        reviewers, minutes = choices.reviewers, choices.wait_minutes
        self._environments = Environments(self._repository, reviewers, minutes)
        self._azure = Azure(settings, record)

    @property
    def url(self) -> str:
        return self._repository.url

    @property
    def person(self) -> str:
        return self._repository.person

    @property
    def _runs(self) -> Runs:
        return Runs(self._repository.api, self._repository.base)

    def check_login(self) -> None:
        self._repository.check_login()

    def steps(self) -> list[Step]:
        """Return all steps."""
        repository, environments, choices = self._repository, self._environments, self._choices
        return [
            Step("Git", repository.git.look),
            Step("Repository", lambda: repository.look(choices.public)),
            Step("Subject of the tokens", repository.look_at_subject),
            Step("Push", repository.look_at_push),
            Step("Default branch", repository.look_at_default_branch),
            Step("Actions", lambda: protection.look_at_actions(repository, choices.public)),
            *(
                Step(
                    f"Environment {name}",
                    partial(environments.look, name),
                    partial(environments.notes, name),
                )
                for name in NAMES
            ),
            Step("Webhook", environments.look_at_webhook, environments.notes_on_webhook),
            *(
                Step(f"Azure for {name}", partial(self._look_at_azure, name))
                for name in ENVIRONMENTS
            ),
            Step("Terraform's provider", repository.git.look_at_locks),
            Step(
                "Rules for main",
                lambda: protection.look_at_rules(repository, len(choices.reviewers)),
            ),
            *(
                Step(f"Login of {name}{suffix}", partial(self._look_at_login, name, suffix))
                for name in ENVIRONMENTS
                for suffix in IDENTITIES
            ),
            Step("Infrastructure", self._look_at_infrastructure),
            *(
                Step(f"Login of {name}", partial(self._look_at_login, name, ""))
                for name in ENVIRONMENTS
            ),
            Step("First training", self._look_at_training),
        ]

    def farewell(self) -> str:
        """Return what happens next."""
        return (
            f"Everything is connected. The first training runs: {self.url}/actions\n"
            "If its model passes the gate, it is released to staging, and production's reviewers "
            "are asked."
        )

    def take_back(self, undo: Undo) -> None:
        """Take back one creation; a call that finds nothing to remove has nothing left to do."""
        path = protection.find_rules(self._repository, undo.path)
        if path:
            self._repository.api.call(undo.method, path, undo.body, missing=None)

    def _look_at_azure(self, environment: str) -> list[Change]:
        """Look whether Azure trusts the tokens of the jobs that plan and apply."""
        self._azure.account()
        if self._repository.find() is None:
            return [self._azure.bootstrap(environment, {})]
        subject = self._repository.subject()
        if all(
            self._azure.trusts(environment, key, subject.of(environment + suffix), subject.issuer)
            for suffix, key in IDENTITIES.items()
        ):
            return []
        return [self._azure.bootstrap(environment, subject.variables())]

    def _look_at_login(self, environment: str, suffix: str) -> list[Change]:
        """Look whether an environment has the variables that name its identity."""
        login = self._azure.login(environment, IDENTITIES.get(suffix, CI))
        if login is None:
            made_by = "infra/bootstrap" if suffix else "infra/"
            raise Waits(f"set the variables AZURE_*, once {made_by} has made its identity")
        return self._repository.set_variables(f"environments/{environment}{suffix}", login)

    def _look_at_infrastructure(self) -> list[Change]:
        """Look whether infra/ was applied to both environments, for this repository's tokens."""
        for name in ENVIRONMENTS:
            for key in IDENTITIES.values():
                if self._azure.client(name, key) is None:
                    raise Waits(f"{BUILD}, once infra/bootstrap is applied")
        subject = self._repository.subject()
        missing = [
            name
            for name in ENVIRONMENTS
            if not self._azure.trusts(name, CI, subject.of(name), subject.issuer)
        ]
        if not missing:
            return self._repository.set_variables("actions", {READY: "true"})
        if self._settings.private:
            raise Waits(
                "apply infra/ for the first time, from inside the private network",
                f"Apply it as {PAGE} says (Reach a private environment), then connect again.",
            )
        last = self._runs.last("infra.yml")
        running = last is not None and last["status"] != "completed"
        others = [name for name in missing if self._azure.client(name, CI)]
        reason = f"CI's identity of {' and '.join(others)} trusts other tokens: " if others else ""
        return [
            *self._repository.set_variables("actions", {READY: "true"}),
            Change(reason + ("follow its run" if running else BUILD), self._build),
        ]

    def _build(self) -> None:
        """Apply infra/ by its workflow, and follow the run."""
        run = self._runs.last("infra.yml")
        if run is None or run["status"] == "completed":
            for name in ENVIRONMENTS:
                self._azure.record_trust(name)
                self._azure.open_state(name)
            run = self._runs.start("infra.yml")
        if not self._choices.wait:
            url = run["html_url"]
            raise Waits(f"runs: {url}", "Approve it there; when it has ended, connect again.")
        self._runs.follow(run)
        self._azure.forget()

    def _look_at_training(self) -> list[Change]:
        """Look whether a training was ever started."""
        if self._runs.last("train.yml"):
            return []
        for name in ENVIRONMENTS:
            if self._azure.client(name, CI) is None:
                raise Waits(f"{TRAIN}, once infra/ is applied")
        missing = set(RUNNERS) - set(self._repository.variables("actions"))
        if self._settings.inside and missing:
            raise Waits(
                f"{TRAIN}, once a runner in the network can reach the endpoints",
                f"Make it as {PAGE} says (A self-hosted runner), set {' and '.join(RUNNERS)}, then "
                "connect again.",
            )
        return [Change(TRAIN, self._train)]

    def _train(self) -> None:
        self._runs.start("train.yml")
