"""The model registry: registered versions, the champion, and what production serves.

Only calls that both local MLflow and Azure ML support are used: versions, their tags, and loading
by version, but not stages, aliases or searches by tag.
"""

from __future__ import annotations

import hashlib
import json
import tempfile
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Final

from mlops.config import Project
from mlops.errors import ConfigError, ModelError, first_line
from mlops.model import tags
from mlops.model.loading import RESTORE, Loaded, load_model, require_unchanged, trust
from mlops.model.tracking import connect

ARTIFACT: Final = "model"

# Values of the tag `tags.STAGE`.
REGISTERED: Final = "registered"
STAGING: Final = "staging"
PRODUCTION: Final = "production"
RETIRED: Final = "retired"
WITHDRAWN: Final = "withdrawn"


@dataclass(frozen=True)
class Version:
    """A registered version of the project's model."""

    name: str
    number: int
    run_id: str
    tags: Mapping[str, str]

    @property
    def stage(self) -> str:
        return self.tags.get(tags.STAGE, REGISTERED)

    @property
    def is_new(self) -> bool:
        """Return whether no environment has served it yet."""
        return self.stage == REGISTERED

    @property
    def is_in_production(self) -> bool:
        """Return whether production serves it."""
        return self.stage == PRODUCTION

    @property
    def is_decided(self) -> bool:
        """Return whether its tags are those with which the gate's decision was registered."""
        return self.tags.get(tags.SEAL) == seal(self.name, self.tags)

    def figure(self, metric: str) -> float | None:
        """Return a metric of its holdout when it was registered."""
        return self.figures().get(metric)

    def figures(self) -> dict[str, float]:
        """Return the metrics of its holdout when it was registered."""
        prefix = f"{tags.FIGURE}."
        found = {k.removeprefix(prefix): v for k, v in self.tags.items() if k.startswith(prefix)}
        return {name: float(value) for name, value in sorted(found.items()) if value}

    @property
    def uri(self) -> str:
        return f"models:/{self.name}/{self.number}"


class Registry:
    """The versions of one project's model in MLflow."""

    def __init__(self, project: Project) -> None:
        from mlflow import MlflowClient

        connect(project)
        self.name = project.project
        self._client = MlflowClient()

    def versions(self) -> list[Version]:
        """Return all versions, oldest first."""
        found = self._client.search_model_versions(f"name='{self.name}'")
        return sorted(map(_version, found), key=lambda version: version.number)

    def version(self, number: int) -> Version:
        """Return one version.

        Raises
        ------
        ConfigError
            It is not registered.
        """
        version = self.find(number)
        if version is None:
            known = ", ".join(str(other.number) for other in self.versions()) or "none"
            raise ConfigError(f"{self.name} has no version {number} (registered: {known}).")
        return version

    def find(self, number: int) -> Version | None:
        """Return one version, or None if it is not registered."""
        from mlflow.exceptions import MlflowException

        try:
            return _version(self._client.get_model_version(self.name, str(number)))
        except MlflowException as error:
            if error.error_code != "RESOURCE_DOES_NOT_EXIST":
                raise
            return None

    def champion(self, exclude_run: str = "") -> Version | None:
        """Return the version to beat: the newest accepted one that was not withdrawn.

        A version without a decision was registered by hand. Without the version of
        ``exclude_run``, evaluating it again finds the same champion.
        """
        accepted = [v for v in self.versions() if tags.DECISION in v.tags]
        standing = [v for v in accepted if v.stage != WITHDRAWN]
        others = [v for v in standing if not exclude_run or v.run_id != exclude_run]
        return others[-1] if others else None

    def in_production(self) -> Version | None:
        """Return the version that production serves."""
        serving = [v for v in self.versions() if v.is_in_production]
        return serving[-1] if serving else None

    def register(self, run_id: str, extra_tags: Mapping[str, str]) -> Version:
        """Register the model of a run; registering the same run again returns its version.

        The decision is tagged last: a version that was left halfway has none, and registering the
        same run again completes it.
        """
        version = next((v for v in self.versions() if v.run_id == run_id), None)
        if version is None:
            version = self._create(run_id)
        values = {**extra_tags, tags.STAGE: REGISTERED, tags.SEAL: seal(self.name, extra_tags)}
        for key in sorted(values, key=lambda key: key == tags.DECISION):
            if key not in version.tags:
                self.tag(version, key, values[key])
        return self.version(version.number)

    def _create(self, run_id: str) -> Version:
        """Create a version without tags, because Azure ML documents tags of existing ones only.

        `mlflow.register_model` locates the files in a way that Azure ML's plugin does not
        support, and then looks for MLflow 3's logged models, which Azure ML does not have.
        """
        from mlflow.exceptions import MlflowException
        from mlflow.store.artifact.runs_artifact_repo import RunsArtifactRepository

        try:
            self._client.create_registered_model(self.name)
        except MlflowException as error:
            if error.error_code != "RESOURCE_ALREADY_EXISTS":
                raise
        source = RunsArtifactRepository.get_underlying_uri(f"runs:/{run_id}/{ARTIFACT}")
        return _version(self._client.create_model_version(self.name, source, run_id))

    def before(self, version: Version) -> Version | None:
        """Return the version that ``version`` replaced in production."""
        number = version.tags.get(tags.REPLACED)
        return self.version(int(number)) if number else None

    def mark_staging(self, version: Version) -> None:
        """Record that staging serves the version."""
        if version.is_new:
            self.tag(version, tags.STAGE, STAGING)

    def mark_production(self, version: Version, withdraws: int | None = None) -> None:
        """Record that production serves the version; ``withdraws`` is what a rollback leaves."""
        present = self.in_production()
        if withdraws is None and present and present.number != version.number:
            self.tag(version, tags.REPLACED, str(present.number))
        self.tag(version, tags.STAGE, PRODUCTION)

    def retire_others(self, version: Version, withdraws: int | None = None) -> None:
        """Record that no other version serves; ``withdraws`` can no longer be the champion."""
        for old in self.versions():
            if old.number == version.number:
                continue
            if old.number == withdraws:
                self.tag(old, tags.STAGE, WITHDRAWN)
            elif old.is_in_production:
                self.tag(old, tags.STAGE, RETIRED)

    def download(self, version: Version, folder: Path) -> Path:
        """Download a version's files and check that they are those that the gate accepted.

        Raises
        ------
        ModelError
            The gate did not accept the version, or its files are missing or were changed.
        """
        name = f"{version.name} {version.number}"
        if not version.is_decided:
            raise ModelError(
                f"{name} carries no decision of this project's gate: it was registered by hand, "
                "or its tags were edited.",
                "Nothing was deployed. Register models with `mlops run`, or release another "
                "version. If nobody here edited the tags, find out who did.",
            )
        try:
            path = self._fetch(version, folder)
            require_unchanged(path, version.tags[tags.MODEL_DIGEST])
        except ModelError as error:
            raise ModelError(
                f"{name} cannot be deployed: {error}",
                "Nothing was deployed. Restore this version's original files, or release another "
                "version. If nobody here changed them, find out who did.",
            ) from error
        return path

    def _fetch(self, version: Version, folder: Path) -> Path:
        import mlflow

        try:
            return Path(mlflow.artifacts.download_artifacts(version.uri, dst_path=str(folder)))
        except (mlflow.MlflowException, OSError) as error:
            raise ModelError(f"Its files are missing: {first_line(error)}") from error

    def tag(self, version: Version, key: str, value: str) -> None:
        """Set a tag of a version."""
        self._client.set_model_version_tag(self.name, str(version.number), key, value)


def _version(found: Any) -> Version:
    return Version(found.name, int(found.version), found.run_id or "", dict(found.tags))


def seal(name: str, values: Mapping[str, str]) -> str:
    """Return the SHA-256 of the tags that a decision is registered with.

    It finds tags that were edited by hand or copied to another model. It is no signature: who may
    write to the registry can make one.
    """
    figures = [key for key in values if key.startswith(f"{tags.FIGURE}.")]
    sealed = (tags.DECISION, tags.MODEL_DIGEST, tags.DATA_DIGEST, *sorted(figures))
    content = [name, *([key, values.get(key, "")] for key in sealed)]
    return hashlib.sha256(json.dumps(content).encode()).hexdigest()


def load_run_model(project: Project, run_id: str, digest: str) -> Loaded:
    """Load the fitted classifier of a run, whose files have a digest.

    Raises
    ------
    ModelError
        The files are missing, changed, damaged or not trusted.
    """
    import mlflow

    with tempfile.TemporaryDirectory() as folder:
        try:
            uri = f"runs:/{run_id}/{ARTIFACT}"
            files = Path(mlflow.artifacts.download_artifacts(uri, dst_path=folder))
        except (mlflow.MlflowException, OSError) as error:
            raise ModelError(f"Run {run_id} has no model: {first_line(error)}", RESTORE) from error
        return load_model(files, trust(project, digest))
