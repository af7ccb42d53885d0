"""The model registry: registered versions, the champion, and what production serves.

Only calls that both local MLflow and Azure ML support are used: versions, their tags, and loading
by version, but not stages, aliases or searches by tag.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Final

from mlops.config import Project
from mlops.errors import ConfigError, ReleaseError
from mlops.model import tags
from mlops.model.tracking import connect
from mlops.outputs import digest

ARTIFACT: Final = "model"
# MLflow adds this file to a downloaded model; it was not registered.
DOWNLOAD_NOTE: Final = frozenset({"registered_model_meta"})

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

    def figure(self, metric: str) -> float | None:
        """Return a metric of its holdout when it was registered."""
        text = self.tags.get(f"{tags.FIGURE}.{metric}")
        return float(text) if text else None

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
        """Return the version to beat: the newest that was not withdrawn, released or not.

        Without the version of ``exclude_run``, evaluating it again finds the same champion.
        """
        standing = [v for v in self.versions() if v.stage != WITHDRAWN]
        others = [v for v in standing if not exclude_run or v.run_id != exclude_run]
        return others[-1] if others else None

    def in_production(self) -> Version | None:
        """Return the version that production serves."""
        serving = [v for v in self.versions() if v.stage == PRODUCTION]
        return serving[-1] if serving else None

    def register(self, run_id: str, extra_tags: Mapping[str, str]) -> Version:
        """Register the model of a run; registering the same run again returns its version.

        `mlflow.register_model` locates the files in a way that Azure ML's plugin does not
        support, and then looks for MLflow 3's logged models, which Azure ML does not have.
        """
        from mlflow.exceptions import MlflowException
        from mlflow.store.artifact.runs_artifact_repo import RunsArtifactRepository

        known = next((v for v in self.versions() if v.run_id == run_id), None)
        if known:
            return known
        try:
            self._client.create_registered_model(self.name)
        except MlflowException as error:
            if error.error_code != "RESOURCE_ALREADY_EXISTS":
                raise
        source = RunsArtifactRepository.get_underlying_uri(f"runs:/{run_id}/{ARTIFACT}")
        all_tags = {**extra_tags, tags.STAGE: REGISTERED}
        return _version(self._client.create_model_version(self.name, source, run_id, all_tags))

    def before(self, version: Version) -> Version | None:
        """Return the version that ``version`` replaced in production."""
        number = version.tags.get(tags.REPLACED)
        return self.version(int(number)) if number else None

    def mark_staging(self, version: Version) -> None:
        """Record that staging serves the version."""
        if version.stage == REGISTERED:
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
            elif old.stage == PRODUCTION:
                self.tag(old, tags.STAGE, RETIRED)

    def download(self, version: Version, folder: Path) -> Path:
        """Download a version's files and check them against the registered digest.

        Raises
        ------
        ReleaseError
            The files differ from those that were registered.
        """
        path = self._fetch(version, folder)
        registered, found = version.tags.get(tags.MODEL_DIGEST, ""), model_digest(path)
        if registered != found:
            raise ReleaseError(
                f"{version.name} {version.number} has digest {found[:12]}, but was registered "
                f"with {registered[:12] or 'none'}: its files were changed after registration.",
                "Nothing was deployed. Restore this version's original files, or release another "
                "version. If nobody here changed them, find out who did.",
            )
        return path

    def _fetch(self, version: Version, folder: Path) -> Path:
        import mlflow

        return Path(mlflow.artifacts.download_artifacts(version.uri, dst_path=str(folder)))

    def tag(self, version: Version, key: str, value: str) -> None:
        """Set a tag of a version."""
        self._client.set_model_version_tag(self.name, str(version.number), key, value)


def _version(found: Any) -> Version:
    return Version(found.name, int(found.version), found.run_id or "", dict(found.tags))


def model_digest(path: Path) -> str:
    """Return the SHA-256 of a model folder's names and contents."""
    return digest(path, skip=DOWNLOAD_NOTE)


def load_run_model(run_id: str) -> Any:
    """Load the fitted classifier of a run."""
    import mlflow.sklearn

    return mlflow.sklearn.load_model(f"runs:/{run_id}/{ARTIFACT}")


def run_signature(run_id: str) -> Any:
    """Return the MLflow signature (input columns and types) of a run's model."""
    import mlflow

    return mlflow.models.get_model_info(f"runs:/{run_id}/{ARTIFACT}").signature
