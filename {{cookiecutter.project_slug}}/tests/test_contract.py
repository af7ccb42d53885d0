"""The contract between your code and the lifecycle: its commands work on your data."""

import json
import shutil
from pathlib import Path

import pandas as pd
import pytest
import yaml
from click.testing import CliRunner

from mlops.cli import main
from mlops.config import Project
from mlops.data.rows import serve, write
from mlops.model.loading import model_digest, trust
from mlops.serving.score import Scorer


@pytest.fixture(scope="module")
def root(project: Project, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Copy the project, without what its commands wrote and without a search."""
    copy = tmp_path_factory.mktemp("project")
    for folder in ("src", "expectations"):
        shutil.copytree(project.root / folder, copy / folder)
    settings = yaml.safe_load((project.root / "project.yml").read_text("utf-8"))
    settings["model"].pop("search", None)
    (copy / "project.yml").write_text(yaml.safe_dump(settings), "utf-8")
    return copy


def run(root: Path, command: str, data: Path, *codes: int) -> None:
    """Run `mlops` in this process; fail with its output unless it exits with one of ``codes``."""
    arguments = ["--project", str(root), command, "--data", str(data)]
    result = CliRunner().invoke(main, arguments, catch_exceptions=False)
    assert result.exit_code in codes, result.output


def test_your_code_goes_through_the_whole_lifecycle(
    root: Path, project: Project, inputs: pd.DataFrame
) -> None:
    run(root, "validate", project.data_path, 0)
    run(root, "train", project.data_path, 0)
    run(root, "evaluate", project.data_path, 0, 3)  # 3: the gate refuses the model
    [model] = root.glob("mlruns/**/MLmodel")
    body = json.dumps({"input_data": write(serve(inputs.head(3)))})
    trusted = trust(project, model_digest(model.parent))
    answer = Scorer(model.parent, trusted).answer(body.encode())
    assert len(answer["predictions"]) == 3
