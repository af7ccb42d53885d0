"""A rendered project on Azure DevOps, whose pipelines run on this machine: real commands, and doubles at their edge."""

import os
import shutil
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass, replace
from pathlib import Path

from doubles.azure_devops import APPROVAL, TOKEN, AzureDevOps, running_azure_devops, step
from doubles.client import Double
from landing_zone import CONNECTIONS
from rendering import ROOT

from pipelines.agent import Cancel, World
from pipelines.model import Pipeline, read
from pipelines.run import Run, run
from pipelines.templates import expand

TOOLS = ROOT / "tests" / "workflows" / "tools"  # stand in for the Python that makes environments, and for curl
# What a task or a job must give, so no process has it from the start.
HELD_BACK = ("AZURE_CLIENT_ID", "AZURE_TENANT_ID", "AZURE_SUBSCRIPTION_ID", "DOUBLE_LOGIN")
# What a job asks Azure DevOps before it changes production.
WHO_APPROVED = [
    "GET distributedtask/environments",
    "GET pipelines/checks/configurations",
    "GET build/builds/7/timeline",
    "GET pipelines/approvals/approval-1",
]
FROM_PROJECT = ("SYSTEM_COLLECTIONURI", "SYSTEM_TEAMPROJECT", "BUILD_BUILDID")


@dataclass
class Repository:
    """A project's repository at Azure DevOps.

    Attributes
    ----------
    devops :
        Knows the environments and their checks, by which runs wait for an approval.
    world :
        What each run finds.
    """

    devops: AzureDevOps
    world: World
    runs: int = 0

    @property
    def work(self) -> Path:
        """Return the folder of the files on main."""
        return self.world.project

    def run(
        self,
        name: str,
        answer: str = "approved",
        cancel: Cancel | None = None,
        meanwhile: Callable[[], object] = lambda: None,
        **parameters: str,
    ) -> Run:
        """Run a pipeline; Alice answers wherever an approval is asked for. `devops` then has the calls of this run."""
        pipeline = read(expand(self.work, f"azure-pipelines/{name}.yml", parameters))
        self._begin(pipeline, answer)
        answers = {one: answer if APPROVAL in checks else "" for one, checks in self.devops.checks.items()}
        world = replace(
            self.world,
            folder=self.world.folder / str(self.runs),
            environments=answers,
            variables={**self.world.variables, "Build.Reason": "Manual" if parameters else "Schedule"},
            cancel=cancel,
            meanwhile=meanwhile,
        )
        world.folder.mkdir(parents=True)
        return run(pipeline, world)

    def _begin(self, pipeline: Pipeline, answer: str) -> None:
        """Let Azure DevOps know a new run: its stages, and the approvals that they wait for."""
        self.runs += 1
        self.devops.calls.clear()
        self.devops.stages = tuple(stage.name for stage in pipeline.stages)
        environments = [(stage.name, job.environment) for stage in pipeline.stages for job in stage.jobs]
        waiting = [stage for stage, one in environments if APPROVAL in self.devops.checks.get(one, ())]
        steps = [step(answer, "Alice")]
        self.devops.approvals = {f"approval-{number}": (one, answer, steps) for number, one in enumerate(waiting, 1)}


@contextmanager
def running_repository(
    folder: Path,
    project: Path,
    python: Path,
    network: Mapping[str, str],
    connections: Mapping[str, Mapping[str, str]],
) -> Iterator[Repository]:
    """Put a project's files on main, and run a double of Azure DevOps until the block ends.

    Parameters
    ----------
    network :
        The variables that lead programs to the doubles; they say nothing of who runs them.
    connections :
        What AzureCLI@2 sets for each service connection.
    """
    files = shutil.copytree(project, folder / "repository", ignore=shutil.ignore_patterns(".mlops", "__pycache__"))
    path = os.pathsep.join([str(TOOLS), network.get("PATH", os.environ["PATH"])])
    with running_azure_devops() as devops:
        environment = {
            **{name: value for name, value in network.items() if name not in HELD_BACK},
            **{name: value for name, value in devops.job().items() if name in FROM_PROJECT},
            "PATH": path,
            "PROJECT_PYTHON": str(python),
            "OMP_NUM_THREADS": "1",
            "HOME": str(folder),
        }
        world = World(Path(files), folder / "agents", environment, connections, secrets={"System.AccessToken": TOKEN})
        yield Repository(devops, world)


def connect(azure: Double, identities: Mapping[str, str], clients: Mapping[str, str]) -> dict[str, dict[str, str]]:
    """Return what AzureCLI@2 sets for service connections, by the names of their identities; it logs `az` in, too.

    Parameters
    ----------
    clients :
        The client id of each identity.
    """
    return {
        name: {**azure.service_connection(CONNECTIONS[name], clients[identity]), "DOUBLE_LOGIN": identity}
        for name, identity in identities.items()
    }
