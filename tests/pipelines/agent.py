"""Runs the steps of one job on this machine, in folders of its own, as an agent does."""

import os
import re
import shutil
import signal
import subprocess
from collections.abc import Callable, Mapping
from contextlib import suppress
from dataclasses import dataclass, field
from pathlib import Path

from pipelines.commands import commands
from pipelines.expressions import Function, evaluate, to_bool
from pipelines.loading import PipelineError
from pipelines.model import Job, Step
from pipelines.tasks import TASKS

MACRO = re.compile(r"\$\(([\w.]+)\)")
SUCCEEDED, ISSUES, FAILED, CANCELED, SKIPPED = "Succeeded", "SucceededWithIssues", "Failed", "Canceled", "Skipped"
GOOD = (SUCCEEDED, ISSUES)


@dataclass(frozen=True)
class Cancel:
    """Cancel the run in a step, as soon as its output contains a text.

    The agent interrupts a program, and kills it ten seconds later (microsoft/azure-pipelines-agent, ProcessInvoker).

    Attributes
    ----------
    patience :
        The seconds between the two; 0 if the agent itself is lost.
    """

    step: str
    saying: str = ""
    patience: float = 10


@dataclass(frozen=True)
class World:
    """What a run finds: the code, programs, connections, approvals and variables.

    Attributes
    ----------
    project :
        The repository, which a checkout copies.
    folder :
        Where the agents work, and where artifacts are kept.
    environment :
        The variables of every process; its PATH decides what `mlops`, `python` and the others are.
    connections :
        The service connections, and the variables that AzureCLI@2 sets for each.
    environments :
        The environments, and what becomes of the approval that each asks for: approved, rejected, timed out; or nothing
        if it asks for none.
    variables, secrets :
        Predefined variables, and those that are set in the pipeline's settings.
    meanwhile :
        What happens while an approval is waited for.
    """

    project: Path
    folder: Path
    environment: Mapping[str, str]
    connections: Mapping[str, Mapping[str, str]] = field(default_factory=dict)
    environments: Mapping[str, str] = field(default_factory=dict)
    variables: Mapping[str, str] = field(default_factory=dict)
    secrets: Mapping[str, str] = field(default_factory=dict)
    cancel: Cancel | None = None
    meanwhile: Callable[[], object] = lambda: None


@dataclass(frozen=True)
class Done:
    """A step that was reached: what it ran, and what came of it."""

    stage: str
    job: str
    step: str
    command: str
    result: str
    code: int = 0
    output: str = ""


def _end(process: subprocess.Popen[str], patience: float) -> None:
    """Interrupt a program and what it started, and kill what is left."""
    if patience:
        os.killpg(process.pid, signal.SIGINT)
        with suppress(subprocess.TimeoutExpired):
            process.wait(patience)
    with suppress(ProcessLookupError):
        os.killpg(process.pid, signal.SIGKILL)


class Agent:
    """Runs one job.

    Attributes
    ----------
    outputs :
        The output variables so far, by STEP.NAME.
    done, summaries :
        The steps that were reached, and the texts that they show on the run's page.
    """

    def __init__(self, world: World, stage: str, job: Job, variables: Mapping[str, str]) -> None:
        self.outputs: dict[str, str] = {}
        self.done: list[Done] = []
        self.summaries: list[str] = []
        self._world, self._stage, self._job = world, stage, job
        self._status = SUCCEEDED
        self._folder = world.folder / f"{stage}.{job.name}"
        self._path: list[str] = []
        self._secrets: dict[str, str] = {}
        self._variables = {**variables, **self._predefined()}
        self._variables = {name: self._filled(value) for name, value in self._variables.items()}
        self._secrets = dict(world.secrets)  # which do not become part of other variables (variables.md)
        for name in ("s", "temp"):
            (self._folder / name).mkdir(parents=True)

    def _predefined(self) -> dict[str, str]:
        sources = str(self._folder / "s")
        return {
            "Agent.OS": "Linux",
            "Agent.TempDirectory": str(self._folder / "temp"),
            "Build.SourcesDirectory": sources,
            "Pipeline.Workspace": str(self._folder),
            "System.DefaultWorkingDirectory": sources,
            "System.JobAttempt": "1",
            "System.JobName": self._job.name,
            "System.StageName": self._stage,
            "TF_BUILD": "True",
        }

    def run(self) -> str:
        """Run the job's steps; return its result."""
        if not self._job.deployment and not any(step.kind == "checkout" for step in self._job.steps):
            self._check_out()
        for step in self._job.steps:
            self._reach(step)
        return self._status

    def _reach(self, step: Step) -> None:
        """Run a step if its condition holds, and note what came of it."""
        variables = {**self._variables, "Agent.JobStatus": self._status}
        if not to_bool(evaluate(step.condition or "succeeded()", {"variables": variables}, self._functions())):
            self._note(step, "", SKIPPED)
            return
        command, code, output = self._carry_out(step)
        told = self._obey(step, output)
        result = FAILED if code else told
        if self._is_cancelled(step, output):
            result = self._status = CANCELED
        elif result == FAILED and step.more.get("continueOnError") != "true":
            self._status = FAILED if self._status in GOOD else self._status
        elif result != SUCCEEDED and self._status == SUCCEEDED:
            self._status = ISSUES
        self._note(step, command, result, code, output)

    def _functions(self) -> dict[str, Function]:
        return {
            "always": lambda: True,
            "canceled": lambda: self._status == CANCELED,
            "failed": lambda: self._status == FAILED,
            "succeeded": lambda: self._status in GOOD,
            "succeededOrFailed": lambda: self._status != CANCELED,
        }

    def _note(self, step: Step, command: str, result: str, code: int = 0, output: str = "") -> None:
        words = [self._masked(text) for text in (command, output)]
        self.done.append(Done(self._stage, self._job.name, step.label, words[0], result, code, words[1]))

    def _is_cancelled(self, step: Step, output: str) -> bool:
        cancel = self._world.cancel
        return cancel is not None and cancel.step == step.label and cancel.saying in output

    def _carry_out(self, step: Step) -> tuple[str, int, str]:
        """Return what a step ran, its exit code and its output."""
        match step.kind:
            case "script" | "bash":
                return self._script(step, step.content)
            case "task":
                return self._task(step)
            case "checkout":
                if step.content == "self":
                    self._check_out()
            case "publish":
                return self._publish(step.content, step.more["artifact"])
            case "download" if step.content == "current":
                return self._download(self._filled(step.more["artifact"]))
            case "download" if step.content != "none":
                raise PipelineError(f"download: {step.content} is not known here")
        return f"{step.kind}: {step.content}", 0, ""

    def _task(self, step: Step) -> tuple[str, int, str]:
        inputs = {name: self._filled(value) for name, value in step.inputs.items()}
        if step.content not in TASKS or not inputs.keys() <= TASKS[step.content]:
            raise PipelineError(f"the task {step.content} with {', '.join(inputs)} is not known here")
        if step.content == "AzureCLI@2":
            return self._azure_cli(step, inputs)
        if step.content == "PublishPipelineArtifact@1":
            return self._publish(inputs["targetPath"], inputs["artifact"])
        if step.content == "Cache@2" and "cacheHitVar" in inputs:
            self._variables[inputs["cacheHitVar"]] = "false"
        if step.content == "UsePythonVersion@0" and step.name:
            self._set_output(step, "pythonLocation", f"/opt/python/{inputs['versionSpec']}")
        if step.content == "PublishTestResults@2":
            found = list((self._folder / "s").glob(inputs["testResultsFiles"]))
            missing = not found and inputs.get("failTaskOnMissingResultsFile") == "true"
            return step.content, int(missing), f"{len(found)} files"
        return step.content, 0, ""

    def _azure_cli(self, step: Step, inputs: Mapping[str, str]) -> tuple[str, int, str]:
        connection = inputs["azureSubscription"]
        if connection not in self._world.connections:
            raise PipelineError(f"there is no service connection named {connection}")
        if (inputs["scriptType"], inputs["scriptLocation"]) != ("bash", "inlineScript"):
            raise PipelineError("AzureCLI@2 is known here with inline scripts of bash only")
        return self._script(step, step.inputs["inlineScript"], self._world.connections[connection])

    def _script(self, step: Step, content: str, more: Mapping[str, str] | None = None) -> tuple[str, int, str]:
        """Run a script in bash; as on an agent, a command that fails does not end it."""
        filled = self._filled(content)
        file = self._folder / "temp" / f"step-{len(self.done)}.sh"
        file.write_text(filled, encoding="utf-8")
        own = {name: self._filled(value) for name, value in step.env.items()}
        folder = self._folder / "s" / self._filled(step.more.get("workingDirectory", ""))
        variables = {re.sub(r"[. ]", "_", name).upper(): value for name, value in self._variables.items()}
        path = os.pathsep.join([*self._path, self._world.environment["PATH"]])
        environment = {**self._world.environment, "PATH": path, **variables, **(more or {}), **own}
        code, output = self._process(step, ["bash", "--noprofile", "--norc", str(file)], folder, environment)
        return filled, code, output

    def _process(self, step: Step, command: list[str], folder: Path, environment: Mapping[str, str]) -> tuple[int, str]:
        """Run a program to its end, or until the run is cancelled."""
        with subprocess.Popen(
            command,
            cwd=folder,
            env=environment,
            stdin=subprocess.DEVNULL,
            stdout=subprocess.PIPE,
            stderr=subprocess.STDOUT,
            encoding="utf-8",
            start_new_session=True,
        ) as process:
            assert process.stdout is not None
            output = ""
            for line in process.stdout:
                output += line
                if self._is_cancelled(step, output):
                    _end(process, self._world.cancel.patience if self._world.cancel else 0)
                    break
            output += process.stdout.read()
        return process.returncode, output

    def _obey(self, step: Step, output: str) -> str:
        """Carry out a step's logging commands, also if it fails; return the result that they tell.

        The agent reads each line as it comes (microsoft/azure-pipelines-agent, NodeHandler.OnDataReceived).
        """
        result = SUCCEEDED
        for command in commands(output):
            match command.name:
                case "task.setvariable":
                    self._set(command.properties["variable"], command.value, command.is_true("issecret"))
                    if command.is_true("isoutput"):
                        self._set_output(step, command.properties["variable"], command.value)
                case "task.setsecret":
                    self._secrets[f"secret {len(self._secrets)}"] = command.value
                case "task.uploadsummary":
                    self.summaries.append(Path(command.value).read_text(encoding="utf-8"))
                case "task.prependpath":
                    self._path.insert(0, command.value)
                case "task.complete":
                    result = command.properties["result"]
        return result

    def _set(self, name: str, value: str, secret: bool) -> None:
        if secret:
            self._secrets[name] = value
        else:
            self._variables[name] = value

    def _set_output(self, step: Step, name: str, value: str) -> None:
        if not step.name:
            raise PipelineError(f"the step {step.label} sets the output {name}, but has no name")
        self._variables.pop(name, None)  # an output has only the name with the step's
        self._variables[f"{step.name}.{name}"] = self.outputs[f"{step.name}.{name}"] = value

    def _filled(self, text: str) -> str:
        """Return a text with the values of `$(x)`; an unknown one stays as it is."""
        known = {name.lower(): value for name, value in {**self._variables, **self._secrets}.items()}
        return MACRO.sub(lambda found: known.get(found[1].lower(), found[0]), text)

    def _masked(self, text: str) -> str:
        for secret in filter(None, self._secrets.values()):
            text = text.replace(secret, "***")
        return text

    def _check_out(self) -> None:
        ignored = shutil.ignore_patterns("__pycache__", ".venv", "outputs", "mlflow.db")
        shutil.copytree(self._world.project, self._folder / "s", dirs_exist_ok=True, ignore=ignored)

    def _artifact(self, name: str) -> Path:
        return self._world.folder / "artifacts" / name

    def _download(self, name: str) -> tuple[str, int, str]:
        if not self._artifact(name).is_dir():
            return f"download {name}", 1, f"there is no artifact {name}"
        shutil.copytree(self._artifact(name), self._folder / name)
        return f"download {name}", 0, ""

    def _publish(self, path: str, name: str) -> tuple[str, int, str]:
        """Keep a file or folder; it must exist, and the name may be used once in a run."""
        source, artifact = self._folder / "s" / self._filled(path), self._artifact(self._filled(name))
        if not source.exists() or artifact.exists():
            return f"publish {artifact.name}", 1, f"{source.name} does not exist, or {artifact.name} does"
        artifact.parent.mkdir(exist_ok=True)
        if source.is_dir():
            shutil.copytree(source, artifact)
        else:
            artifact.mkdir()
            shutil.copy2(source, artifact)
        return f"publish {artifact.name}", 0, ""
