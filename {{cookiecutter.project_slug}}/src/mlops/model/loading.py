"""Load a model: only files that are as registered, in the project's format, of trusted types.

Loading a file can run its code, and an MLmodel file itself says how it wants to be loaded. So what
may be loaded is decided by project.yml and the registered digest, never by the model's own files.
"""

from __future__ import annotations

import json
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any, Final

from mlops.errors import ModelError, first_line
from mlops.model import tags
from mlops.outputs import digest

if TYPE_CHECKING:
    from mlflow.models import ModelSignature

    from mlops.config import Project

# MLflow adds this file to a downloaded model; it was not registered.
DOWNLOAD_NOTE: Final = frozenset({"registered_model_meta"})

EXAMPLES: Final = "examples.json"  # in the model's folder: a request to send after a deployment

# What a server, which has no project.yml, may load: set by the deployment.
DIGEST: Final = "MLOPS_MODEL_DIGEST"
FORMAT: Final = "MLOPS_MODEL_FORMAT"
TYPES: Final = "MLOPS_TRUSTED_TYPES"

# Types that skops loads only if trusted by name. Tree nodes are indexed without bounds checks, so
# load models from your own registry only.
TRUSTED_TYPES: Final = (
    "numpy.dtype",
    "sklearn.tree._tree.Tree",
    "sklearn.ensemble._hist_gradient_boosting.predictor.TreePredictor",
)


RESTORE: Final = (
    "Nothing was loaded. Restore its original files, or train again. If nobody here changed them, "
    "find out who did."
)


@dataclass(frozen=True)
class Trust:
    """What may be loaded: files of one digest, in one format, with the project's own types."""

    digest: str
    serialization: str
    types: tuple[str, ...] = ()

    def variables(self) -> dict[str, str]:
        """Return the environment variables that tell a server the same."""
        types = ",".join(self.types)
        return {
            DIGEST: self.digest,
            FORMAT: self.serialization,
            **({TYPES: types} if types else {}),
        }

    @classmethod
    def of_server(cls, variables: Mapping[str, str]) -> Trust:
        """Return what the deployment of this server says.

        Raises
        ------
        ModelError
            It does not say which files may be loaded.
        """
        if not variables.get(DIGEST):
            raise ModelError(
                f"{DIGEST} is not set, so it cannot be told which model may be loaded.",
                f"Deploy with `mlops deploy`, or set it to the version's tag {tags.MODEL_DIGEST}.",
            )
        types = variables.get(TYPES, "").split(",")
        return cls(variables[DIGEST], variables.get(FORMAT, "skops"), tuple(filter(None, types)))


@dataclass(frozen=True)
class Loaded:
    """A fitted classifier, and the signature (input columns and types) that it was saved with."""

    model: Any
    signature: ModelSignature


def saved_examples(folder: Path) -> list[dict[str, Any]]:
    """Return the rows that a model was saved with, as a request holds them."""
    file = folder / EXAMPLES
    return list(json.loads(file.read_text("utf-8"))["input_data"]) if file.is_file() else []


def trust(project: Project, digest: str) -> Trust:
    """Return what project.yml allows to be loaded from a model of a digest."""
    return Trust(digest, project.model.serialization, tuple(project.model.trusted_types))


def model_digest(folder: Path) -> str:
    """Return the SHA-256 of a model folder's names and contents."""
    return digest(folder, skip=DOWNLOAD_NOTE)


def require_unchanged(folder: Path, registered: str) -> None:
    """Raise `ModelError` if a model's files are missing or differ from those registered."""
    if not (folder / "MLmodel").is_file():
        raise ModelError("The model's files are missing: there is no MLmodel.", RESTORE)
    found = model_digest(folder)
    if registered != found:
        raise ModelError(
            f"The model has digest {found[:12]}, but was registered with "
            f"{registered[:12] or 'none'}: its files were changed after registration.",
            RESTORE,
        )


def load_model(folder: Path, trusted: Trust) -> Loaded:
    """Load the model in an MLflow model folder.

    Raises
    ------
    ModelError
        The files are missing or changed, have another format than the project's, contain types
        that it does not trust, or are damaged. Nothing of them was run.
    """
    require_unchanged(folder, trusted.digest)
    return read_model(folder, trusted)


def read_model(folder: Path, trusted: Trust) -> Loaded:
    """Load the model of a folder whose files are known to be those of the digest."""
    import yaml
    from mlflow.models import Model

    saved = Model.from_dict(yaml.safe_load((folder / "MLmodel").read_text("utf-8")))
    flavor = saved.flavors.get("sklearn") or {}
    kind = flavor.get("serialization_format")
    if kind != trusted.serialization:
        raise ModelError(
            f"The model is saved as {kind}, but model.serialization is {trusted.serialization}.",
            "Train it again, or set model.serialization in project.yml. A cloudpickle runs code "
            "when it is loaded.",
        )
    file = folder / Path(str(flavor.get("pickled_model"))).name
    if saved.signature is None or not file.is_file():
        raise ModelError(
            f"The model is incomplete: {file.name} or the signature is missing.", RESTORE
        )
    return Loaded(_read(file, trusted), saved.signature)


def _read(file: Path, trusted: Trust) -> Any:
    if trusted.serialization == "cloudpickle":
        import cloudpickle

        with file.open("rb") as stream:
            return cloudpickle.load(stream)
    import skops.io
    from skops.io.exceptions import UntrustedTypesFoundException

    try:
        return skops.io.load(file, trusted=[*TRUSTED_TYPES, *trusted.types])
    except UntrustedTypesFoundException as error:
        raise ModelError(
            f"The model contains types that are not trusted: {first_line(error)}",
            "List the types of your own code in model.trusted_types of project.yml, then train "
            "and deploy again.",
        ) from error
    except Exception as error:  # of any class: a damaged file fails anywhere
        raise ModelError(
            f"The model's file is damaged: {type(error).__name__}: {first_line(error)}", RESTORE
        ) from error
