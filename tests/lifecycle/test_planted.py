"""Files and tags that were changed by hand are refused by every verb and every server, and none of them is run."""

from __future__ import annotations

import json
import os
import shutil
from collections.abc import Callable, Iterator
from pathlib import Path

import cloudpickle
import mlflow
import numpy as np
import pytest
import skops.io
import yaml
from conftest import Toy, make_toy
from mlops import lifecycle
from mlops.config import load_project
from mlops.errors import ModelError
from mlops.model import tags
from mlops.model.loading import Trust, load_model, model_digest, trust
from mlops.model.registry import Registry, seal
from mlops.serving import score
from mlops.serving.score import Scorer
from toy.estimators import Columns, Planted

TEMPLATE_TYPES = [f"toy.estimators.{name}" for name in ("Columns", "Planted")]


class Payload:
    """Unpickling it writes the file of PLANTED."""

    def __reduce__(self) -> tuple[Callable[..., object], tuple[str]]:
        return os.mkdir, (os.environ["PLANTED"],)


def edit_flavor(model: Path, **values: object) -> None:
    """Change how an MLmodel file wants to be loaded."""
    content = yaml.safe_load((model / "MLmodel").read_text("utf-8"))
    content["flavors"]["sklearn"].update(values)
    content["flavors"]["python_function"]["model_path"] = values.get("pickled_model", "model.skops")
    (model / "MLmodel").write_text(yaml.safe_dump(content), "utf-8")


def plant_cloudpickle(model: Path) -> None:
    (model / "model.pkl").write_bytes(cloudpickle.dumps(Payload()))
    edit_flavor(model, serialization_format="cloudpickle", pickled_model="model.pkl")


def plant_pickle(model: Path) -> None:
    (model / "model.pkl").write_bytes(cloudpickle.dumps(Payload()))
    edit_flavor(model, serialization_format="pickle", pickled_model="model.pkl")


def write_other(model: Path, kind: type[Columns]) -> None:
    """Put another fitted model in the place of the one that was saved."""
    fitted = kind(width=1).fit(np.array([[0.0], [1.0]]), ["no", "yes"])
    (model / "model.skops").write_bytes(skops.io.dumps(fitted))


def plant_types(model: Path) -> None:
    """Trust a type by the model's own file."""
    write_other(model, Planted)
    edit_flavor(model, skops_trusted_types=TEMPLATE_TYPES)


def plant_outside(model: Path) -> None:
    """Load a file beside the model's folder."""
    (model.parent / "outside.pkl").write_bytes(cloudpickle.dumps(Payload()))
    edit_flavor(model, serialization_format="cloudpickle", pickled_model="../outside.pkl")


def swap(model: Path) -> None:
    write_other(model, Columns)


def damage(model: Path) -> None:
    content = bytearray((model / "model.skops").read_bytes())
    content[len(content) // 2] ^= 0xFF
    (model / "model.skops").write_bytes(content)


def lose(model: Path) -> None:
    shutil.rmtree(model)


PLANTS = [plant_cloudpickle, plant_pickle, plant_types, plant_outside, swap, damage, lose]
HARMFUL = PLANTS[:4]  # refused even if the registered digest is theirs


@pytest.fixture(scope="module")
def base(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Make a project with version 1 in production and before it, and version 2 in staging."""
    made = make_toy(tmp_path_factory.mktemp("base"))
    made.mlops("run")
    made.mlops("release", "--yes")
    made.model("Columns", width=2)
    made.mlops("run")
    made.mlops("deploy", "staging")
    made.mlops("stop")
    return made.root


@pytest.fixture
def copied(base: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Toy]:
    copy = Toy(Path(shutil.copytree(base, tmp_path / "project")))
    copy.use_free_ports()
    monkeypatch.setenv("PLANTED", str(tmp_path / "planted"))
    yield copy
    copy.mlops("stop")
    assert not (tmp_path / "planted").exists()


def folders(toy: Toy) -> list[Path]:
    found = [file.parent for file in (toy.root / "mlruns").rglob("MLmodel")]
    assert len(found) == 2
    return found


@pytest.mark.parametrize(
    ("plant", "registered"), [*((plant, False) for plant in PLANTS), *((plant, True) for plant in HARMFUL)]
)
def test_every_verb_refuses_planted_files(copied: Toy, plant: Callable[[Path], None], registered: bool) -> None:
    """With ``registered``, someone edited the digests in tags and results too."""
    copied.mlops("deploy", "production", "--version", "2", "--yes")
    for folder in folders(copied):
        plant(folder)
        if registered:
            give_digest(copied, folder)
    for verb in ("report", "evaluate"):
        assert "Fix: " in copied.mlops(verb, code=1).output
    for verb in (["deploy", "staging", "--version", "1"], ["release", "--version", "1", "--yes"], ["rollback"]):
        said = copied.mlops(*verb, code=1).output
        assert "digest" in said or "decision" in said or "missing" in said, said
    copied.mlops("deploy", "production", "--version", "1", "--yes", code=1)
    copied.model("Columns", width=3)
    copied.mlops("run", code=3)
    codes = [reason["code"] for reason in copied.output("evaluation/evaluation.json")["decision"]["reasons"]]
    assert codes == ["champion_unavailable"]
    assert copied.stages() == {1: "retired", 2: "production"}


def give_digest(toy: Toy, folder: Path) -> None:
    """Say that a folder's present files are those registered, as far as tags and results can say so."""
    registry, digest = Registry(load_project(toy.root)), model_digest(folder)
    [version] = [v for v in registry.versions() if v.run_id in folder.parts]
    registry.tag(version, tags.MODEL_DIGEST, digest)
    file = toy.root / "outputs/training/training.json"
    training = json.loads(file.read_text("utf-8"))
    if training["run_id"] == version.run_id:
        file.write_text(json.dumps({**training, "model_digest": digest}), "utf-8")


@pytest.mark.parametrize("plant", PLANTS)
def test_every_server_refuses_planted_files(
    copied: Toy, plant: Callable[[Path], None], monkeypatch: pytest.MonkeyPatch
) -> None:
    folder, project = folders(copied)[0], load_project(copied.root)
    before = model_digest(folder)
    plant(folder)
    with pytest.raises(ModelError):
        Scorer(folder.parent, trust(project, before))
    if plant in HARMFUL:
        with pytest.raises(ModelError):
            Scorer(folder.parent, trust(project, model_digest(folder)))
    monkeypatch.setenv("AZUREML_MODEL_DIR", str(folder.parent))
    for given in ({}, trust(project, before).variables()):
        for name, value in given.items():
            monkeypatch.setenv(name, value)
        with pytest.raises(ModelError):
            score.init()
    with pytest.raises(ModelError):
        list(lifecycle.score(project, copied.root / "rows.csv", copied.root / "scored", folder, before))
    assert not (copied.root / "scored").exists()


def test_a_version_registered_by_hand_is_neither_champion_nor_released(copied: Toy, tmp_path: Path) -> None:
    project = load_project(copied.root)
    Registry(project)
    files = tmp_path / "by-hand"
    shutil.copytree(folders(copied)[0], files)
    plant_cloudpickle(files)
    client = mlflow.MlflowClient()
    client.create_model_version("toy", str(files))
    said = copied.mlops("deploy", "staging", "--version", "3", code=1).output
    assert "no decision of this project's gate" in said
    copied.mlops("deploy", "staging")
    assert {slot["version"] for slot in state(copied)["slots"].values() if slot} >= {2}
    copied.model("Columns", width=3)
    copied.mlops("run")
    assert copied.output("evaluation/evaluation.json")["champion"] == 2


def state(toy: Toy) -> dict[str, dict[str, dict[str, int]]]:
    return dict(json.loads((toy.root / ".mlops/staging/state.json").read_text("utf-8")))


@pytest.mark.parametrize(
    ("key", "value"),
    [
        (tags.DECISION, "better"),
        (tags.DATA_DIGEST, "0" * 64),
        (f"{tags.FIGURE}.roc_auc", "0.999999"),
        (tags.MODEL_DIGEST, "0" * 64),
        (tags.SEAL, "0" * 64),
    ],
)
def test_a_version_with_an_edited_tag_is_not_released(copied: Toy, key: str, value: str) -> None:
    registry = Registry(load_project(copied.root))
    registry.tag(registry.version(1), key, value)
    for verb in (["deploy", "staging", "--version", "1"], ["release", "--version", "1", "--yes"]):
        assert "its tags were edited" in copied.mlops(*verb, code=1).output
    copied.mlops("deploy", "staging", "--version", "2")


def test_tags_copied_from_another_version_do_not_help(copied: Toy, tmp_path: Path) -> None:
    registry = Registry(load_project(copied.root))
    files = tmp_path / "by-hand"
    shutil.copytree(folders(copied)[0], files)
    plant_cloudpickle(files)
    accepted = {key: text for key, text in registry.version(2).tags.items() if key != tags.STAGE}
    mlflow.MlflowClient().create_model_version("toy", str(files), tags=accepted)
    assert "were changed after registration" in copied.mlops("deploy", "staging", "--version", "3", code=1).output
    forged = {**accepted, tags.MODEL_DIGEST: model_digest(files)}
    mlflow.MlflowClient().create_model_version("toy", str(files), tags={**forged, tags.SEAL: seal("toy", forged)})
    said = copied.mlops("deploy", "staging", "--version", "4", code=1).output
    assert "saved as cloudpickle, but model.serialization is skops" in said


def test_an_own_type_is_loaded_by_a_server_only_if_the_project_trusts_it(copied: Toy) -> None:
    folder = folders(copied)[0]
    digest = model_digest(folder)
    assert Trust.of_server(trust(load_project(copied.root), digest).variables()) == trust(
        load_project(copied.root), digest
    )
    load_model(folder, trust(load_project(copied.root), digest))
    with pytest.raises(ModelError, match=r"toy\.estimators\.Columns"):
        load_model(folder, Trust(digest, "skops"))
