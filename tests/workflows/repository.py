"""A rendered project on GitHub, whose runs are made by act on this machine."""

import itertools
import json
import os
import re
import shutil
import signal
import subprocess
import sys
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import yaml
from doubles import SUBSCRIPTION, TENANT
from doubles.github import GitHub
from rendering import ROOT, git

from workflows.rules import Event, Rules, Workflow, rights

HERE = Path(__file__).resolve().parent
BIN = Path(sys.executable).parent
ON_RUNNERS = ("gh", "node")  # programs that hosted runners have
USES = re.compile(r"uses: (actions/([\w-]+)@[0-9a-f]{40})")
HELD_BACK = ("AZURE_CLIENT_ID", "AZURE_TENANT_ID", "AZURE_SUBSCRIPTION_ID", "DOUBLE_LOGIN", "PATH")


@dataclass(frozen=True)
class Step:
    """A step that ran: its job, its name and how it ended."""

    job: str
    name: str
    result: str


@dataclass(frozen=True)
class Run:
    """A run of a workflow: its exit code, its steps in order, each job's result, its summary and its log."""

    code: int
    steps: tuple[Step, ...]
    jobs: Mapping[str, str]
    summary: str
    log: str

    def ended(self, result: str) -> list[str]:
        """Return the steps that ended with a result, as JOB: STEP."""
        return [f"{step.job}: {step.name}" for step in self.steps if step.result == result]


@dataclass
class Repository:
    """A project's repository at GitHub.

    Attributes
    ----------
    folder :
        Holds the server's side, the checkouts and the artifacts.
    network :
        The variables that point programs to the doubles: the same for all jobs, because they are not rights.
    variables :
        The repository's own variables at GitHub.
    """

    folder: Path
    github: GitHub
    python: Path
    network: Mapping[str, str] = field(default_factory=dict)
    variables: dict[str, str] = field(default_factory=lambda: {"AZURE_READY": "true"})
    oidc: Callable[[str], Mapping[str, str]] = lambda _: {}
    name: str = "ORG/credit-risk"
    _numbers: Iterator[int] = field(default_factory=lambda: itertools.count(1), repr=False)

    @property
    def work(self) -> Path:
        return self.folder / "work"

    @property
    def artifacts(self) -> Path:
        return self.folder / "artifacts"

    def push(self, project: Path) -> None:
        """Put a project's files on main, as its first commit."""
        shutil.copytree(project, self.work, ignore=shutil.ignore_patterns("__pycache__", "outputs", ".mlops"))
        git(self.work, "init", "--quiet", "--initial-branch", "main")
        git(self.work, "config", "uploadpack.allowAnySHA1InWant", "true")
        self.commit()

    def commit(self) -> str:
        """Commit the files in `work`; return the commit."""
        git(self.work, "add", "--all")
        git(self.work, "commit", "--quiet", "--allow-empty", "--message", "Change")
        return self.head()

    def head(self) -> str:
        return git(self.work, "rev-parse", "HEAD").strip()

    def on_main(self, name: str, actor: str = "alice", **payload: Any) -> Event:
        """Return an event about main as it is now."""
        return Event(name, self.head(), payload=payload, actor=actor)

    def pull_request(self, change: Callable[[Path], object], from_fork: bool = False) -> Event:
        """Open a pull request with changed files; main stays as it is."""
        base = self.head()
        git(self.work, "checkout", "--quiet", "-b", "topic")
        change(self.work)
        head = self.commit()
        git(self.work, "checkout", "--quiet", "main")
        git(self.work, "checkout", "--quiet", "--detach")
        git(self.work, "merge", "--quiet", "--no-ff", "--message", "Merge", "topic")
        merge = self.head()
        git(self.work, "checkout", "--quiet", "main")
        git(self.work, "branch", "--quiet", "-D", "topic")
        author = "mallory" if from_fork else "bob"
        repository = {"id": 1, "full_name": self.name}
        other = {"id": 2, "full_name": "mallory/credit-risk"} if from_fork else repository
        pull = {
            "number": 7,
            "user": {"login": author},
            "base": {"sha": base, "ref": "main", "repo": repository},
            "head": {"sha": head, "ref": "topic", "repo": other},
        }
        payload = {"number": 7, "pull_request": pull, "repository": repository}
        return Event("pull_request", merge, "refs/pull/7/merge", payload, author, from_fork)

    def run(self, workflow: str, event: Event, cancel_at: str = "", number: int = 0) -> Run:
        """Run a workflow, under a number; ``cancel_at`` cancels it as soon as its log has this text."""
        number = number or next(self._numbers)
        scratch = self.folder / f"run-{number}"
        checkout = self._prepare(workflow, event, scratch, number)
        command = [*self._command(workflow, event, scratch), "--env", f"GITHUB_RUN_ID={number}"]
        with subprocess.Popen(
            command,
            cwd=checkout,
            env=self._environment(scratch),
            stdout=subprocess.PIPE,
            stderr=subprocess.STDOUT,
            encoding="utf-8",
        ) as process:
            assert process.stdout is not None
            lines = []
            for line in process.stdout:
                lines.append(line)
                if cancel_at and cancel_at in line:
                    process.send_signal(signal.SIGINT)
                    cancel_at = ""
        return _read(process.returncode, lines)

    def _prepare(self, name: str, event: Event, scratch: Path, number: int) -> Path:
        """Write the workflows as GitHub would run them into a checkout of the event's commit."""
        checkout = scratch / "checkout"
        git(self.folder, "clone", "--quiet", "--no-checkout", str(self.work), str(checkout))
        git(checkout, "fetch", "--quiet", "origin", event.sha)
        git(checkout, "checkout", "--quiet", "--detach", event.sha)
        folder = checkout / ".github" / "workflows"
        rules = Rules(self.name, self.github, event, self.oidc, sys.executable, number)
        main = load(folder / name)
        limits = {job["uses"].rpartition("/")[2]: rights(main, job) for job in main["jobs"].values() if "uses" in job}
        for file in folder.glob("*.yml"):
            if file.name == name or file.name in limits:
                _dump(file, rules.apply(file.name, load(file), limits.get(file.name)))
        (scratch / "event.json").write_text(json.dumps({**event.payload, "ref": event.ref}), encoding="utf-8")
        programs = scratch / "bin"
        programs.mkdir()
        for program in ON_RUNNERS:
            (programs / program).symlink_to(BIN / program)
        gh = scratch / "gh"
        gh.mkdir()
        (gh / "config.yml").write_text(f"http_unix_socket: {self.github.socket}\n", encoding="utf-8")
        return checkout

    def _command(self, workflow: str, event: Event, scratch: Path) -> list[str]:
        files = [*(scratch / "checkout" / ".github").rglob("*.yml")]
        used = sorted({found for file in files for found in USES.findall(file.read_text(encoding="utf-8"))})
        return [
            *(str(BIN / "act"), event.name, "-W", f".github/workflows/{workflow}", "-e", str(scratch / "event.json")),
            *("-P", "ubuntu-24.04=-self-hosted", "--actor", event.actor, "--json", "--action-offline-mode"),
            *("--no-cache-server", "--no-skip-checkout"),
            *(word for name, value in self.variables.items() for word in ("--var", f"{name}={value}")),
            *(word for action, name in used for word in ("--local-repository", f"{action}={HERE / 'actions' / name}")),
            *(
                word
                for name, value in self._job_variables(event, scratch).items()
                for word in ("--env", f"{name}={value}")
            ),
        ]

    def _job_variables(self, event: Event, scratch: Path) -> dict[str, str]:
        network = {name: value for name, value in self.network.items() if name not in HELD_BACK}
        return {
            "MYPY_CACHE_DIR": str(ROOT / ".mypy_cache" / "variants"),  # the libraries are the same in all
            **network,
            "PATH": os.pathsep.join(
                [str(HERE / "tools"), str(scratch / "bin"), self.network.get("PATH", os.environ["PATH"])]
            ),
            "PROJECT_PYTHON": str(self.python),
            "CHECKOUT_SERVER": str(self.work),
            "CHECKOUT_REF": event.sha,
            "ARTIFACTS": str(self.artifacts),
            "GH_CONFIG_DIR": str(scratch / "gh"),
            "GITHUB_API_URL": self.github.url,
            "GITHUB_REPOSITORY": self.name,
            "GITHUB_TRIGGERING_ACTOR": event.actor,
            "OMP_NUM_THREADS": "1",
        }

    def _environment(self, scratch: Path) -> dict[str, str]:
        home = scratch / "home"
        home.mkdir()
        return {**os.environ, "HOME": str(home), "XDG_CACHE_HOME": str(home / "cache")}


def azure_variables(client: str) -> dict[str, str]:
    """Return the variables of an environment whose jobs have an identity on Azure."""
    return {"AZURE_CLIENT_ID": client, "AZURE_TENANT_ID": TENANT, "AZURE_SUBSCRIPTION_ID": SUBSCRIPTION}


def load(file: Path) -> Workflow:
    """Read a workflow; YAML takes the key `on` for a truth value."""
    content = yaml.safe_load(file.read_text(encoding="utf-8"))
    return {"on" if key is True else key: value for key, value in content.items()}


def _dump(file: Path, workflow: Workflow) -> None:
    file.write_text(yaml.safe_dump(workflow, sort_keys=False, width=1000), encoding="utf-8")


def _job(item: dict[str, Any]) -> str:
    """Return a job's name as GitHub shows it: without the workflow's, and CALLER / JOB for one of a called workflow."""
    first, *rest = item["job"].split("/")
    return " / ".join(rest) if len(rest) == 1 else " / ".join([first, *rest[1:]])


def _read(code: int, lines: list[str]) -> Run:
    """Read act's lines of JSON."""
    steps, jobs, said, summary = [], {}, [], []
    for line in lines:
        try:
            item = json.loads(line)
        except ValueError:
            said.append(line)
            continue
        said.append(f"{item.get('job', '')}: {item.get('msg', '')}\n")
        if "stepResult" in item and item.get("stage") == "Main" and len(item["stepID"]) == 1:
            steps.append(Step(_job(item), item["step"], item["stepResult"]))
        if "jobResult" in item:
            jobs[_job(item)] = item["jobResult"]
        if item.get("command") == "summary":
            summary.append(item.get("content", ""))
    return Run(code, tuple(steps), jobs, "".join(summary), "".join(said))
