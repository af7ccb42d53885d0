"""The script of docs/data-scientist.md, "From a notebook", as a user runs it."""

from __future__ import annotations

import re
import subprocess
import sys
from pathlib import Path

import mlops
from conftest import Toy

PAGE = Path(mlops.__file__).parents[2] / "docs" / "data-scientist.md"


def test_the_script_of_the_docs_trains_evaluates_and_scores_a_row(toy: Toy) -> None:
    section = PAGE.read_text("utf-8").partition("## From a notebook")[2].partition("\n## ")[0]
    (script,) = re.findall(r"```python\n(.*?)```", section, re.DOTALL)
    assert len([line for line in script.splitlines() if line and "import" not in line]) <= 10
    run = subprocess.run([sys.executable, "-c", script], cwd=toy.root, capture_output=True, text=True, check=False)
    assert run.returncode == 0, run.stderr
    *_, decision, probabilities = run.stdout.splitlines()
    assert decision.startswith("True {'average_precision': 0.")
    no, yes = map(float, re.findall(r"[\d.]+", probabilities))
    assert abs(no + yes - 1) < 1e-6
    assert toy.output("evaluation/evaluation.json")["decision"]["accepted"] is True
    assert toy.stages() == {}
