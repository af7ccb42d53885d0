"""Shared by the benchmarks: a rendered project, and measurements of processes."""

import contextlib
import os
import socket
import statistics
import subprocess
import sys
import sysconfig
import tempfile
import time
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import yaml

ROOT = Path(__file__).resolve().parent.parent
MACOS_BYTES = 2**20  # getrusage returns kilobytes on Linux, bytes on macOS
LINUX_KILOBYTES = 2**10


@dataclass(frozen=True)
class Cost:
    """Wall time and peak resident memory of one process or a sequence."""

    seconds: float
    megabytes: float

    def __add__(self, other: "Cost") -> "Cost":
        return Cost(self.seconds + other.seconds, max(self.megabytes, other.megabytes))


@dataclass(frozen=True)
class Project:
    """A project rendered with the defaults, and a Python with its requirements."""

    folder: Path
    python: str

    @property
    def environment(self) -> dict[str, str]:
        """Return an environment in which Python finds the project's packages in src."""
        return {**os.environ, "PYTHONPATH": str(self.folder / "src"), "MLFLOW_DISABLE_TELEMETRY": "true"}

    @property
    def settings(self) -> dict[str, Any]:
        """Return the content of project.yml."""
        return dict(yaml.safe_load((self.folder / "project.yml").read_text(encoding="utf-8")))

    def run(self, *arguments: str) -> Cost:
        """Run Python in the project's folder; exit with its output if it fails."""
        return run_process([self.python, *arguments], self.folder, self.environment)

    def compile(self) -> None:
        """Compile bytecode, as an installation does; imports take three times as long without it."""
        libraries = subprocess.run(
            [self.python, "-c", "import sysconfig; print(sysconfig.get_path('purelib'))"],
            check=True,
            stdout=subprocess.PIPE,
            encoding="utf-8",
        ).stdout.strip()
        command = [self.python, "-m", "compileall", "-q", str(self.folder / "src"), libraries]
        subprocess.run(command, check=False, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL)


@contextlib.contextmanager
def rendered_project() -> Iterator[Project]:
    """Render the template into a temporary folder, with bytecode and free ports."""
    python = os.environ.get("PROJECT_PYTHON", str(ROOT / ".venv-project" / "bin" / "python"))
    if not Path(python).is_file():
        sys.exit(f"{python} is missing: run `make test` to create it, or set PROJECT_PYTHON.")
    with tempfile.TemporaryDirectory() as folder:
        command = [sys.executable, "-m", "cookiecutter", str(ROOT), "--no-input", "--default-config"]
        subprocess.run(
            [*command, "--output-dir", folder],
            check=True,
            stdout=subprocess.DEVNULL,
            env={**os.environ, "HOME": folder},  # cookiecutter saves the answers in the home folder
        )
        project = Project(next(file.parent for file in Path(folder).glob("*/project.yml")), python)
        use_free_ports(project)
        project.compile()
        yield project


def use_free_ports(project: Project) -> None:
    """Replace the default ports, which other servers may use."""
    file = project.folder / "project.yml"
    text = file.read_text(encoding="utf-8")
    endpoints = project.settings["serving"].values()
    for endpoint, port in zip(endpoints, free_ports(len(endpoints)), strict=True):
        text = text.replace(f"port: {endpoint['port']}", f"port: {port}")
    file.write_text(text, encoding="utf-8")


def free_port() -> int:
    """Return a free port."""
    return free_ports(1)[0]


def free_ports(count: int) -> list[int]:
    """Return ports that are free and differ, which two calls one after the other do not promise."""
    with contextlib.ExitStack() as stack:
        probes = [stack.enter_context(socket.create_server(("127.0.0.1", 0))) for _ in range(count)]
        return [int(probe.getsockname()[1]) for probe in probes]


def run_process(command: Sequence[str], folder: Path, environment: Mapping[str, str]) -> Cost:
    """Run a command and return its cost; memory is the peak of the command or its largest child."""
    with tempfile.TemporaryFile() as output:
        start = time.perf_counter()
        process = subprocess.Popen(command, cwd=folder, env=environment, stdout=output, stderr=output)
        _, status, usage = os.wait4(process.pid, 0)
        seconds = time.perf_counter() - start
        process.returncode = os.waitstatus_to_exitcode(status)
        if process.returncode:
            output.seek(0)
            sys.exit(f"{' '.join(command)} failed:\n{output.read().decode(errors='replace')}")
    return Cost(seconds, usage.ru_maxrss / (MACOS_BYTES if sys.platform == "darwin" else LINUX_KILOBYTES))


def in_turns(cases: Mapping[str, Callable[[], Cost]], runs: int, unmeasured: int = 1) -> dict[str, list[Cost]]:
    """Run all cases in turns, so that a slow moment affects each; the first, unmeasured turns warm the caches."""
    costs: dict[str, list[Cost]] = {name: [] for name in cases}
    for turn in range(unmeasured + runs):
        for name, case in cases.items():
            cost = case()
            if turn >= unmeasured:
                costs[name].append(cost)
    return costs


def median_seconds(costs: Sequence[Cost]) -> float:
    """Return the median wall time."""
    return statistics.median(cost.seconds for cost in costs)


def median_megabytes(costs: Sequence[Cost]) -> float:
    """Return the median peak memory."""
    return statistics.median(cost.megabytes for cost in costs)


def verdict(holds: bool) -> str:
    """Return whether a goal holds, as a word."""
    return "holds" if holds else "MISSED"


def machine() -> str:
    """Describe the machine and date, to store with the figures."""
    memory = ""
    with contextlib.suppress(ValueError, OSError):  # not available on every system
        gigabytes = os.sysconf("SC_PAGE_SIZE") * os.sysconf("SC_PHYS_PAGES") / 2**30
        memory = f", {gigabytes:.0f} GB"
    load = f", load {os.getloadavg()[0]:.1f}"
    return (
        f"{datetime.now(UTC):%Y-%m-%d}, {os.cpu_count()} cores{memory}, {sysconfig.get_platform()}{load} at the start"
    )
