"""From `cookiecutter` to a release that somebody approved: one command, at a terminal, before all the doubles.

What a person types, approves and waits for is counted; benchmarks/README.md compares it with other templates.
"""

import os
import pty
import re
import select
import shutil
import subprocess
import sys
import threading
import time
from collections.abc import Callable, Iterator
from contextlib import ExitStack
from dataclasses import dataclass, field
from pathlib import Path

import pytest
from azure_landing import landing_zone_of
from azure_project import PREFIX
from connecting import PERSON, TOKEN, Bench, bench
from doubles import az_of_states
from doubles import github as doubles_github
from doubles.client import Double, running_double
from doubles.proxy import running_proxy
from doubles.terraform.client import Terraform
from landing_zone import ENVIRONMENTS, apply_both
from rendering import Render, git
from workflows.repository import Repository
from workflows.terraform import pin_terraform

NAME = "octo/credit-risk"
IDS = {"github_ids": '{ owner = "34", repository = "7001" }'}
WEBHOOK_LINE = "Webhook of Teams or Slack"
WEBHOOK = "https://127.0.0.1:9/planted-webhook"  # nobody answers there


@dataclass
class World:
    """A person's machine, GitHub that runs workflows, and Azure."""

    bench: Bench
    azure: Double
    repository: Repository
    terraform: Terraform
    output: str = ""
    logs: list[str] = field(default_factory=list)
    approvals: list[str] = field(default_factory=list)

    def carry_out(self, run: doubles_github.Run) -> None:
        """Run a workflow that somebody started, as GitHub does: on what is on main."""
        threading.Thread(target=self._approve, args=(run,), daemon=True).start()
        run.status = "in_progress"
        shutil.rmtree(self.repository.work, ignore_errors=True)
        git(self.bench.folder, "clone", "--quiet", str(self.bench.remote), str(self.repository.work))
        git(self.repository.work, "config", "uploadpack.allowAnySHA1InWant", "true")
        program = pin_terraform(self.repository.work, self.terraform, self.bench.folder / "pinned")
        kept = {name: value for name, value in program.items() if name != "TF_DATA_DIR"}
        self.repository.network = {**self.repository.network, **kept}
        self.repository.commit()
        self.repository.variables = dict(self.bench.github.variables)
        event = self.repository.on_main("workflow_dispatch", actor=run.actor)
        done = self.repository.run(run.workflow, event, number=run.id)
        self.logs.append(done.log)
        run.conclusion = ("success" if done.steps else "skipped") if done.code == 0 else "failure"
        run.status = "completed"

    def _approve(self, run: doubles_github.Run) -> None:
        """Approve what a run waits for, once it does."""
        while run.status != "completed":
            for name in run.pending:
                environment = self.bench.github.environments[name]
                if environment.decision is None:
                    self.approvals.append(name)
                    environment.decision = (PERSON, "approved")
            time.sleep(0.2)


@pytest.fixture(scope="module")
def world(
    render: Render, terraform: Terraform, project_python: Path, tmp_path_factory: pytest.TempPathFactory
) -> Iterator[World]:
    folder = tmp_path_factory.mktemp("world")
    rendered = render({"repository": NAME})
    known = tmp_path_factory.mktemp("known")
    zones = [
        *apply_both(terraform, rendered, known / "bootstrap", "infra/bootstrap", lambda _: IDS),
        *apply_both(terraform, rendered, known / "infra", "infra", lambda _: IDS),
    ]
    zone = landing_zone_of(zones)
    workspaces = [f"rg-{PREFIX}-{name}/mlw-{PREFIX}-{name}" for name in ENVIRONMENTS]
    with ExitStack() as stack:
        azure = stack.enter_context(running_double(project_python, folder / "azure", workspaces, [], zone))
        proxy = stack.enter_context(running_proxy(azure.url))
        home = stack.enter_context(bench(rendered, folder))
        shutil.rmtree(home.project)  # cookiecutter makes it
        program = terraform.install(folder / "bin")
        az_of_states.install(folder / "bin")
        az = {
            "STATES": str(folder),
            "CALLS": str(folder / "bin" / "arguments.log"),
            "AZ_ELSE": f"{azure.environment['PATH'].split(os.pathsep)[0]}/az",
        }
        network = {name: value for name, value in {**azure.environment, **proxy}.items() if name != "PATH"}
        led = {name: value for name, value in {**network, **program}.items() if name != "TF_DATA_DIR"}
        home.variables |= {**led, **az, "DOUBLE_LOGIN": "operator"}
        jobs = {**led, "PATH": azure.environment["PATH"], "AZURE_AUTHORITY_HOST": azure.url}
        repository = Repository(
            folder / "github", home.github, project_python, jobs, home.github.variables, azure.github_tokens, NAME
        )
        repository.folder.mkdir()
        world = World(home, azure, repository, terraform)
        home.github.on_dispatch = world.carry_out
        yield world


def test_from_cookiecutter_to_an_approved_release(world: World, template: Path) -> None:
    bench = world.bench
    answers = [
        *[("Project name", ""), ("Short name", ""), ("Python package", ""), ("What the model", "")],
        *[("Repository", NAME), ("Azure region", ""), ("Prefix", ""), ("CI/CD", ""), ("How Azure", "")],
        *[("batch endpoint", ""), ("Monitor", ""), ("Network", ""), ("Connect", "2")],
        *[("Make these changes", "y"), (WEBHOOK_LINE, WEBHOOK)],
    ]
    command = [sys.executable, "-m", "cookiecutter", str(template), "--output-dir", str(bench.folder)]
    code, output = at_terminal(command, bench, answers)
    world.output = output
    assert code == 0, output + "".join(world.logs)
    assert "Everything is connected." in output, output
    [infra, train] = bench.github.runs
    wait_for(lambda: train.status == "completed")
    assert (infra.conclusion, train.conclusion) == ("success", "success"), world.logs[-1]
    assert world.approvals == ["production-infra", "production"]
    typed = [answer for _, answer in answers if answer]
    assert typed == [NAME, "2", "y", WEBHOOK]


def test_connected_again_it_finds_nothing_to_do(world: World) -> None:
    bench, calls = world.bench, len(world.bench.github.calls)
    done = bench.connect()
    assert done.returncode == 0, done.stdout
    assert done.stdout.rstrip().endswith("Everything is connected.")
    assert bench.changes(calls) == []
    assert bench.state()["left"] == ""


def test_planted_secrets_are_nowhere(world: World) -> None:
    """Not in the project, its git objects, the replay file, the person's home, arguments or the terminal."""
    bench = world.bench
    assert bench.github.environments["staging"].secrets == {"MLOPS_WEBHOOK": WEBHOOK}
    texts = {"the terminal": world.output.encode()}
    for folder in (bench.project, bench.folder / "home", bench.folder / "bin"):
        texts |= {str(file): file.read_bytes() for file in folder.rglob("*") if file.is_file()}
    objects = git(bench.project, "cat-file", "--batch-all-objects", "--batch-check=%(objectname) %(objecttype)")
    for name, kind in map(str.split, objects.splitlines()):
        texts[f"{kind} {name}"] = subprocess.run(
            ["git", "-C", bench.project, "cat-file", kind, name], check=True, stdout=subprocess.PIPE
        ).stdout
    arguments = (bench.folder / "bin" / "arguments.log").read_text(encoding="utf-8")
    assert {line.split()[0] for line in arguments.splitlines()} == {"git", "gh", "az"}  # or it would prove nothing
    assert any("octo/credit-risk" in name or b"octo/credit-risk" in text for name, text in texts.items())
    assert list((bench.folder / "home").rglob("*.json"))  # the replay file
    found = [name for name, text in texts.items() for secret in (TOKEN, "planted-webhook") if secret.encode() in text]
    assert found == []


def test_disconnect_lists_and_removes_what_connect_created(world: World) -> None:
    bench = world.bench
    words = ("-m", "mlops", "disconnect")
    python = {"PYTHONPATH": str(bench.project / "src")}
    dry = bench.run_in_project(*words, "--dry-run", **python)
    assert dry.returncode == 0, dry.stdout
    assert "  remove the environment production\n" in dry.stdout
    calls = len(bench.github.calls)
    refused = bench.run_in_project(*words, MLOPS_CONNECT_YES="1", **python)  # agrees to connect, not to this
    assert refused.returncode == 2
    assert "There is no terminal to ask at. Nothing was done." in refused.stdout
    done = bench.run_in_project(*words, "--yes", **python)
    assert done.returncode == 0, done.stdout
    assert bench.github.environments == {}
    assert bench.github.variables == {}
    assert bench.github.rulesets == []
    assert bench.github.actions[""]["allowed_actions"] == "all"
    removed = [line for line in bench.arguments() if line.startswith("az rest --method delete")]
    assert len(removed) == 6  # what plans, applies and releases, in both environments
    assert all(re.search(r"/federatedIdentityCredentials/github\?api-version=", line) for line in removed)
    assert len(bench.changes(calls)) > 0
    again = bench.run_in_project(*words, "--yes", **python)
    assert again.stdout == "mlops connect created nothing from this folder, or it was removed.\n"


def at_terminal(command: list[str], bench: Bench, answers: list[tuple[str, str]]) -> tuple[int, str]:
    """Run a command at a terminal, and answer each question as soon as it is asked; return its exit code and output."""
    mine, its = pty.openpty()
    variables = {**bench.variables, "TERM": "dumb", "COLUMNS": "120"}
    process = subprocess.Popen(command, env=variables, stdin=its, stdout=its, stderr=its, start_new_session=True)
    os.close(its)
    output, left, seen = "", list(answers), 0
    while True:
        ready, _, _ = select.select([mine], [], [], 0.2)
        try:
            output += os.read(mine, 65536).decode(errors="replace") if ready else ""
        except OSError:
            break  # the terminal's other end is closed
        if left and (found := re.search(re.escape(left[0][0]) + r"[^\n]*(\n[^\n]*)*?[:\]] ?$", output[seen:])):
            seen += found.end()
            os.write(mine, f"{left.pop(0)[1]}\n".encode())
        if process.poll() is not None and not ready:
            break
    os.close(mine)
    assert not left, output
    return process.wait(), output


def wait_for(condition: Callable[[], bool], seconds: float = 300) -> None:
    end = time.monotonic() + seconds
    while not condition():
        assert time.monotonic() < end
        time.sleep(0.2)
