"""Small projects in temporary folders, and their command line."""

from __future__ import annotations

import contextlib
import functools
import json
import multiprocessing
import os
import shutil
import socket
import tempfile
from collections.abc import Iterator
from dataclasses import dataclass
from multiprocessing.connection import Connection
from multiprocessing.process import BaseProcess
from pathlib import Path
from typing import Any, TextIO

import numpy as np
import pandas as pd
import psutil
import pytest
import yaml
from click.testing import CliRunner, Result
from hypothesis import settings
from mlops.cli import main
from mlops.config import load_project
from mlops.model.registry import Registry
from mlops.model.store import local_store
from mlops.results import Decision, Evaluation

HERE = Path(__file__).parent
# How many examples a property test draws; `make test-all` draws more. Seeded, so that a run can be repeated.
EXAMPLES = int(os.environ.get("LIFECYCLE_EXAMPLES", "25"))
settings.register_profile("lifecycle", max_examples=EXAMPLES, deadline=None, derandomize=True, database=None)
settings.load_profile("lifecycle")
ROWS = 1600
# Processes are forked from one that has done the slow imports.
WARM = multiprocessing.get_context("forkserver")
WARM.set_forkserver_preload(["conftest", "great_expectations", "mlflow.sklearn", "sklearn.ensemble"])


def run_command(arguments: list[str], output: Connection) -> None:
    """Run `mlops` as this process; write what it prints to ``output``."""
    with (
        open(output.fileno(), "w", buffering=1, encoding="utf-8", closefd=False) as stream,
        contextlib.redirect_stdout(stream),
        contextlib.redirect_stderr(stream),
    ):
        main(arguments)


@dataclass(frozen=True)
class Toy:
    """A small project and its command line."""

    root: Path

    def mlops(self, *args: str, code: int = 0) -> Result:
        """Run a command in this process; on an unexpected exit code, fail with its output."""
        result = CliRunner().invoke(main, ["--project", str(self.root), *args])
        broken = result.exception and not isinstance(result.exception, SystemExit)
        if broken or result.exit_code != code:
            raise AssertionError(f"{args} exited with {result.exit_code}:\n{result.output}") from (
                result.exception if broken else None
            )
        return result

    @contextlib.contextmanager
    def running(self, *args: str) -> Iterator[tuple[BaseProcess, TextIO]]:
        """Run a command in its own process, killed in the end; yield the process and what it prints."""
        read, write = WARM.Pipe(duplex=False)
        process = WARM.Process(target=run_command, args=(["--project", str(self.root), *args], write))
        process.start()
        write.close()
        with read, open(read.fileno(), encoding="utf-8", closefd=False) as output:
            try:
                yield process, output
            finally:
                process.kill()
                process.join()

    def set(self, **sections: dict[str, Any]) -> None:
        """Change fields of project.yml's sections."""
        file = self.root / "project.yml"
        content = yaml.safe_load(file.read_text("utf-8"))
        for section, values in sections.items():
            content[section].update(values)
        file.write_text(yaml.safe_dump(content), "utf-8")

    def use_free_ports(self) -> None:
        """Let the endpoints of a copied project listen elsewhere than those of its original."""
        serving = yaml.safe_load((self.root / "project.yml").read_text("utf-8"))["serving"]
        for environment, port in zip(("staging", "production"), free_ports(2), strict=True):
            self.set(serving={environment: {**serving[environment], "port": port}})

    def model(self, kind: str, **params: Any) -> None:
        """Choose a classifier of toy/estimators.py."""
        self.set(model={"estimator": f"toy.estimators.{kind}", "params": params})

    def output(self, name: str) -> dict[str, Any]:
        """Return the content of a file in outputs/."""
        return dict(json.loads((self.root / "outputs" / name).read_text("utf-8")))

    def stages(self) -> dict[int, str]:
        """Return the stage of each registered version."""
        registry = Registry(load_project(self.root))
        return {version.number: version.stage for version in registry.versions()}


def make_rows(rows: int = ROWS, seed: int = 1) -> pd.DataFrame:
    """Make rows whose class depends on ``near`` and ``far``; ``told`` leaks it."""
    rng = np.random.default_rng(seed)
    near, far = rng.normal(size=(2, rows)).round(6)
    chance = 1 / (1 + np.exp(-1.5 * near - 1.5 * far))
    outcome = rng.random(rows) < chance
    return pd.DataFrame(
        {
            "outcome": np.where(outcome, "yes", "no"),
            "near": near,
            "far": far,
            "told": (2 * outcome + rng.normal(size=rows)).round(6),
            "segment": rng.choice(["a", "b", "c"], size=rows, p=[0.5, 0.4, 0.1]),
            "note": np.where(rng.random(rows) < 0.1, None, "x"),
        }
    )


def make_evaluation(**known: Any) -> Evaluation:
    """Make an accepted first model's evaluation on 1,000 holdout rows of the classes bad and good."""
    usual: dict[str, Any] = {
        "run_id": "r",
        "data_digest": "d",
        "classes": ("bad", "good"),
        "positive": "bad",
        "threshold": 0.5,
        "rows": 1000,
        "gate_metric": "average_precision",
        "metrics": {},
        "slices": (),
        "champion": None,
        "champion_metrics": None,
        "decision": Decision(accepted=True, reasons=(), thresholds=(), gain=None),
        "looks": 1,
    }
    return Evaluation(**{**usual, **known})


def processes_below(folder: Path) -> Iterator[psutil.Process]:
    """Yield the processes whose working folder is this one or below it."""
    for process in psutil.process_iter():
        cwd = ""
        with contextlib.suppress(psutil.Error, OSError):  # another user's, or it just ended
            cwd = process.cwd()
        if cwd and Path(cwd).is_relative_to(folder):
            yield process


def free_port() -> int:
    return free_ports(1)[0]


def free_ports(count: int) -> list[int]:
    """Return ports that are free and differ, which two calls one after the other do not promise."""
    with contextlib.ExitStack() as stack:
        probes = [stack.enter_context(socket.create_server(("127.0.0.1", 0))) for _ in range(count)]
        return [int(probe.getsockname()[1]) for probe in probes]


@pytest.fixture(autouse=True, scope="session")
def toy_for_servers() -> Iterator[None]:
    """Let child processes import toy."""
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("PYTHONPATH", str(HERE), prepend=os.pathsep)
        yield


@pytest.fixture
def toy(tmp_path: Path) -> Iterator[Toy]:
    """Make a project; stop its servers at the end."""
    made = make_toy(tmp_path)
    yield made
    made.mlops("stop")


@pytest.fixture(scope="module")
def serving(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Toy]:
    """Make a project with version 1 in production, shared by the tests of a module."""
    made = make_toy(tmp_path_factory.mktemp("serving"))
    made.mlops("run")
    made.mlops("release", "--yes")
    yield made
    made.mlops("stop")


@functools.cache
def empty_store() -> bytes:
    """Return an empty MLflow store: creating one takes longer than most tests."""
    with tempfile.TemporaryDirectory() as folder:
        local_store(Path(folder))
        return (Path(folder) / "mlflow.db").read_bytes()


def make_toy(root: Path) -> Toy:
    """Write the project's files into the folder ``root``."""
    (root / "src").mkdir()
    ignore = shutil.ignore_patterns("__pycache__")
    shutil.copytree(HERE / "toy", root / "src" / "toy", ignore=ignore)
    shutil.copytree(HERE / "suites", root / "expectations")
    make_rows().to_csv(root / "rows.csv", index=False)
    (root / "mlflow.db").write_bytes(empty_store())
    staging, production = free_ports(2)
    types = ["Columns", "Shuffled", "Unfair", "Faulty"]
    content = {
        "project": "toy",
        "name": "Toy",
        "description": "A project for tests.",
        "repository": "ORG/toy",
        "package": "toy",
        "data": {"path": "rows.csv", "target": "outcome", "positive": "yes"},
        "split": {"holdout": 0.4, "seed": 3},
        "model": {
            "estimator": "toy.estimators.Columns",
            "params": {"width": 1},
            "trusted_types": [f"toy.estimators.{name}" for name in types],
        },
        "gate": {
            "metric": "average_precision",
            "confidence": 0.9,
            "thresholds": {"roc_auc": 0.6},
            "slices": ["segment", {"near": [0.0]}],
            "slice_thresholds": {"roc_auc": 0.5},
            "min_slice_rows": 30,
        },
        "serving": {
            "staging": {"target": "local", "port": staging, "smoke_requests": 3},
            "production": {
                "target": "local",
                "port": production,
                "steps": [20, 100],
                "smoke_requests": 5,
                "max_latency_ms": 300,
                "timeout_s": 2,
            },
        },
        "azure": {"region": "westeurope", "prefix": "toy"},
    }
    (root / "project.yml").write_text(yaml.safe_dump(content), "utf-8")
    return Toy(root)
