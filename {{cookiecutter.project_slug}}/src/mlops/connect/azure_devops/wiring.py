"""All steps from a rendered project to its first training on Azure, on Azure DevOps."""

from __future__ import annotations

from collections.abc import Callable
from functools import partial
from typing import Final

from mlops.connect import tfvars
from mlops.connect.azure import CI, IDENTITIES, Azure
from mlops.connect.azure_devops import checks, connections
from mlops.connect.azure_devops.checks import Environments
from mlops.connect.azure_devops.connections import Connections
from mlops.connect.azure_devops.pipelines import Pipelines, Runs
from mlops.connect.azure_devops.policies import Policies
from mlops.connect.azure_devops.project import Project
from mlops.connect.settings import Settings
from mlops.connect.steps import Change, Choices, Record, Step, Undo, Waits
from mlops.errors import ConfigError, MlopsError
from mlops.naming import ENVIRONMENTS

# Those that work without Azure, or make it.
FIRST: Final = ("pull-request", "infra")
CI_VARIABLE: Final = "azure_devops"  # of infra/, for what CI's identity trusts
# Those of infra/bootstrap/.
VARIABLES: Final = {"-infra": "azure_devops", "-plan": "azure_devops_plan"}
PAGE: Final = "docs/infrastructure.md"


class Wiring:
    """The steps, in their order."""

    def __init__(self, settings: Settings, record: Record, choices: Choices) -> None:
        self._settings, self._choices = settings, choices
        self._project = project = Project(settings, record, choices.organization)
        self._azure = Azure(settings, record)
        self._environments = Environments(project, self._azure, choices.reviewers)
        self._connections = Connections(project, self._azure)
        self._pipelines = Pipelines(project, self._connections, self._environments)
        self._policies = Policies(project, self._pipelines, len(choices.reviewers))
        self._runs = Runs(project)
        self._built: set[str] = set()

    @property
    def url(self) -> str:
        return self._project.git_url

    @property
    def person(self) -> str:
        try:
            return self._azure.account().person
        except MlopsError:  # a token logs in to Azure DevOps alone
            return ""

    def check_login(self) -> None:
        """Check the choices, the names and the login.

        Raises
        ------
        MlopsError
            One of them is wrong.
        """
        if self._choices.public or self._choices.wait_minutes:
            raise ConfigError(
                "Azure DevOps has no --wait-timer, and connect makes private projects only.",
                "Leave the options out. Add the check Business hours, or make the project public, "
                "by hand.",
            )
        self._project.check_login()

    def steps(self) -> list[Step]:
        """Return all steps."""
        project, pipelines = self._project, self._pipelines
        later = [name for name in pipelines.names if name not in FIRST]
        return [
            Step("Git", project.git.look),
            Step("Project", project.look),
            Step("Repository", project.look_at_repository),
            Step("Push", project.look_at_push),
            *self._each("Environment", checks.NAMES, self._environments.look),
            *self._each("Azure for", ENVIRONMENTS, self._look_at_azure),
            *self._connect("Service connection", connections.SUFFIXES, is_built=False),
            *self._each("Trust in the plans and applies of", ENVIRONMENTS, self._look_at_trust),
            *self._each("Trust in the pipelines of", ENVIRONMENTS, self._look_at_settings),
            Step("Terraform's provider", project.git.look_at_locks),
            Step("Push of the settings", project.look_at_push),
            *self._each("Pipeline", FIRST, pipelines.look),
            Step("Policies for main", self._policies.look),
            Step("Infrastructure", self._look_at_infrastructure),
            *self._connect("Login of", ("",), is_built=True),
            *self._each("Pipeline", later, self._look_at_pipeline),
            Step("Webhook", pipelines.look_at_webhook),
            Step("First training", self._look_at_training),
        ]

    def farewell(self) -> str:
        """Return what happens next."""
        return (
            f"Everything is connected. The first training runs: {self._project.url}/_build\n"
            "If its model passes the gate, it is released to staging, and production's approvers "
            "are asked.\n"
            "By hand remain the rights of the Build Service, once: docs/azure-pipelines.md (Set "
            "up)."
        )

    def take_back(self, undo: Undo) -> None:
        """Take back one creation; what is gone already stays so."""
        kind, _, name = undo.path.partition("/")
        remove: dict[str, Callable[[str], None]] = {
            "connections": self._connections.remove,
            "pipelines": self._pipelines.disable,
            "policies": self._policies.remove,
            "webhook": self._pipelines.remove_webhook,
        }
        if self._project.find() is not None:
            remove[kind](name)

    def _each(
        self, text: str, names: tuple[str, ...] | list[str], look: Callable[[str], list[Change]]
    ) -> list[Step]:
        return [Step(f"{text} {name}", partial(look, name)) for name in names]

    def _connect(self, text: str, suffixes: tuple[str, ...], is_built: bool) -> list[Step]:
        look = self._connections.look
        return [
            Step(f"{text} {name}{suffix}", partial(look, name, suffix, is_built))
            for suffix in suffixes
            for name in ENVIRONMENTS
        ]

    def _look_at_azure(self, environment: str) -> list[Change]:
        """Look whether the identities exist that plan and apply: connections name them."""
        self._azure.account()
        if all(self._azure.client(environment, key) for key in IDENTITIES.values()):
            return []
        return [self._azure.bootstrap(environment, {})]

    def _look_at_trust(self, environment: str) -> list[Change]:
        """Look whether the identities that plan and apply trust their connections."""
        given, is_done = {}, True
        for suffix, key in IDENTITIES.items():
            trust = self._connections.trust(f"{environment}{suffix}")
            given[VARIABLES[suffix]] = trust.hcl
            is_done &= self._azure.trusts(environment, key, trust.subject, trust.issuer)
        return [] if is_done else [self._azure.bootstrap(environment, given)]

    def _look_at_settings(self, environment: str) -> list[Change]:
        """Look whether infra/ lets CI's identity trust its connection."""
        values = {CI_VARIABLE: self._connections.trust(environment).hcl}
        message = f"Let Azure trust the pipelines of {environment}"
        return tfvars.look(self._project.git, environment, values, values, message)

    def _is_built(self, environment: str) -> bool:
        """Return whether infra/ was applied with the trust in an environment's connection."""
        if environment not in self._built:
            trust = self._connections.trust(environment)
            if self._azure.trusts(environment, CI, trust.subject, trust.issuer):
                self._built.add(environment)
        return environment in self._built

    def _look_at_infrastructure(self) -> list[Change]:
        """Look whether infra/ was applied to both environments."""
        if all(map(self._is_built, ENVIRONMENTS)):
            return []
        if self._settings.private:
            raise Waits(
                "waits for the first apply of infra/, from inside the private network",
                f"Apply it as {PAGE} says (Reach a private environment), then connect again.",
            )
        pipeline = self._pipelines.need("infra")
        last = self._runs.last(pipeline)
        running = last is not None and last["state"] != "completed"
        text = "follow its run" if running else "start the pipeline, and follow it"
        return [Change(f"{text}; you approve production's plan", self._build)]

    def _build(self) -> None:
        pipeline = self._pipelines.need("infra")
        run = self._runs.last(pipeline)
        for name in ENVIRONMENTS:
            self._azure.record_trust(name)
        if run is None or run["state"] == "completed":
            for name in ENVIRONMENTS:
                self._azure.open_state(name)
            run = self._runs.start(pipeline)
        if not self._choices.wait:
            fix = "Approve it there; when it has ended, connect again."
            raise Waits(f"runs: {self._runs.url(run)}", fix)
        self._runs.follow(pipeline, run)
        self._azure.forget()

    def _look_at_pipeline(self, name: str) -> list[Change]:
        """Look at a pipeline that needs Azure: before, its schedule would only fail."""
        if not all(map(self._is_built, ENVIRONMENTS)):
            raise Waits("waits for Azure")
        return self._pipelines.look(name)

    def _look_at_training(self) -> list[Change]:
        """Look whether a training was ever started."""
        pipeline = self._pipelines.need("train")
        if self._runs.last(pipeline):
            return []
        folder = self._settings.root / "azure-pipelines" / "templates"
        release = (folder / "stages-release.yml").read_text(encoding="utf-8")
        if self._settings.inside and "vmImage" in release:
            raise Waits(
                "waits for an agent in the network, which alone reaches the endpoints",
                f"Make it as {PAGE} says (A self-hosted runner), name its pool in azure-pipelines/ "
                "(`pool: NAME` instead of `vmImage`), then connect again.",
            )
        return [Change("start the pipeline", lambda: self._start("train"))]

    def _start(self, name: str) -> None:
        self._runs.start(self._pipelines.need(name))
