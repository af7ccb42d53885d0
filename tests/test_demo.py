"""Run `make demo` on a fresh clone."""

import json
import os
import re
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path
from urllib.request import Request, urlopen

import pytest
from doubles.processes import free_ports
from rendering import copy_working_tree


@pytest.fixture(scope="module")
def clone(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Path]:
    """Copy the repository, with free ports for its demo; stop its servers at the end."""
    folder = tmp_path_factory.mktemp("clone")
    copy_working_tree(folder)
    config = folder / "{{cookiecutter.project_slug}}" / "project.yml"
    staging, production = free_ports(2)
    text = config.read_text(encoding="utf-8")
    assert "port: 5080" in text
    assert "port: 5090" in text
    text = text.replace("port: 5080", f"port: {staging}").replace("port: 5090", f"port: {production}")
    config.write_text(text, encoding="utf-8")
    yield folder
    project = folder / "build" / "demo" / "credit-risk"
    subprocess.run([project / ".venv" / "bin" / "mlops", "stop"], cwd=project, check=True)


def test_the_demo_serves_a_model_and_can_be_run_again(clone: Path) -> None:
    environment = {name: value for name, value in os.environ.items() if not name.startswith(("MAKE", "PYTEST_"))}
    for _ in range(2):
        run = subprocess.run(
            ["make", "demo", f"VENV={sys.prefix}"],
            cwd=clone,
            env=environment,
            stdout=subprocess.PIPE,
            stderr=subprocess.STDOUT,
            encoding="utf-8",
            check=False,
        )
        assert run.returncode == 0, run.stdout

        [report] = re.findall(r"^Read the report:\s+(.+)$", run.stdout, re.MULTILINE)
        assert "<html" in (clone / report).read_text(encoding="utf-8")

        [(url, row)] = re.findall(r"^Score a row:\s+curl (\S+) --json '(.+)'$", run.stdout, re.MULTILINE)
        request = Request(url, data=row.encode(), headers={"Content-Type": "application/json"})
        with urlopen(request, timeout=30) as response:
            answer = json.load(response)
        assert answer["model"]["name"] == "credit-risk"
        assert [prediction["label"] for prediction in answer["predictions"]] in (["good"], ["bad"])
