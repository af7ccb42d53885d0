"""The model registry: who is registered, who is the champion, what is in production.

Only calls that the local MLflow and Azure ML both know are used: versions, their tags, and
loading by version. Stages, aliases and searches by tag are not among them.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Final

from mlops.config import Project
from mlops.errors import ConfigError, ReleaseError
from mlops.model.tracking import connect
from mlops.outputs import digest

ARTIFACT: Final = "model"
# MLflow adds this to a downloaded model; it is no part of what was registered.
DOWNLOAD_NOTE: Final = frozenset({"registered_model_meta"})

STAGE: Final = "mlops.stage"
REGISTERED: Final = "registered"
STAGING: Final = "staging"
PRODUCTION: Final = "production"
RETIRED: Final = "retired"
WITHDRAWN: Final = "withdrawn"
REPLACED: Final = "mlops.replaced"


@dataclass(frozen=True)
class Version:
    """A registered version of the project's model."""

    name: str
    number: int
    run_id: str
    tags: Mapping[str, str]

    @property
    def stage(self) -> str:
        return self.tags.get(STAGE, REGISTERED)

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
        """All versions, oldest first."""
        found = self._client.search_model_versions(f"name='{self.name}'")
        versions = [Version(v.name, int(v.version), v.run_id or "", dict(v.tags)) for v in found]
        return sorted(versions, key=lambda version: version.number)

    def version(self, number: int) -> Version:
        """One version by its number.

        Raises
        ------
        ConfigError
            It is not registered.
        """
        versions = {version.number: version for version in self.versions()}
        if number not in versions:
            known = ", ".join(map(str, versions)) or "none"
            raise ConfigError(f"{self.name} has no version {number} (registered: {known}).")
        return versions[number]

    def champion(self, exclude_run: str = "") -> Version | None:
        """The version to beat: the newest that was not withdrawn, whatever it now serves.

        Parameters
        ----------
        exclude_run : str
            A run whose own version does not count, so that a repeated evaluation compares with
            the same champion as the first.
        """
        standing = [
            version
            for version in self.versions()
            if version.stage != WITHDRAWN and not (exclude_run and version.run_id == exclude_run)
        ]
        return standing[-1] if standing else None

    def in_production(self) -> Version | None:
        """The version that production serves."""
        serving = [v for v in self.versions() if v.stage == PRODUCTION]
        return serving[-1] if serving else None

    def register(self, run_id: str, tags: Mapping[str, str]) -> Version:
        """Register the model of a run; the same run a second time is the same version.

        `mlflow.register_model` would look the files up in a way that Azure ML's plugin cannot
        answer, and then for MLflow 3's logged models, which Azure ML does not have.
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
        marked = {**tags, STAGE: REGISTERED}
        made = self._client.create_model_version(self.name, source, run_id, marked)
        return self.version(int(made.version))

    def before(self, version: Version) -> Version | None:
        """The version that ``version`` replaced in production."""
        number = version.tags.get(REPLACED)
        return self.version(int(number)) if number else None

    def mark_staging(self, version: Version) -> None:
        """Note that staging serves the version."""
        if version.stage == REGISTERED:
            self._tag(version, STAGE, STAGING)

    def mark_production(self, version: Version, withdraws: int | None = None) -> None:
        """Note that production serves the version; its last write is the one that counts.

        Parameters
        ----------
        withdraws : int or None
            The version that is rolled back; any other that was in production is replaced.
        """
        present = self.in_production()
        if withdraws is None and present and present.number != version.number:
            self._tag(version, REPLACED, str(present.number))
        self._tag(version, STAGE, PRODUCTION)

    def retire_others(self, version: Version, withdraws: int | None = None) -> None:
        """Note what became of those that were in production before ``version``.

        Parameters
        ----------
        withdraws : int or None
            The version that was rolled back: it is no champion any more. Any other is retired.
        """
        for old in self.versions():
            if old.number == version.number:
                continue
            if old.number == withdraws:
                self._tag(old, STAGE, WITHDRAWN)
            elif old.stage == PRODUCTION:
                self._tag(old, STAGE, RETIRED)

    def download(self, version: Version, folder: Path) -> Path:
        """Copy a version's files into ``folder`` and check them against the registered digest.

        Raises
        ------
        ReleaseError
            The files are not those that were registered.
        """
        path = self._fetch(version, folder)
        wanted, found = version.tags.get("mlops.model_digest", ""), model_digest(path)
        if wanted != found:
            raise ReleaseError(
                f"{version.name} {version.number} has digest {found[:12]}, registered was "
                f"{wanted[:12] or 'none'}: the files were changed after registration.",
                "Train and register again; do not serve this version.",
            )
        return path

    def _fetch(self, version: Version, folder: Path) -> Path:
        import mlflow

        return Path(mlflow.artifacts.download_artifacts(version.uri, dst_path=str(folder)))

    def _tag(self, version: Version, key: str, value: str) -> None:
        self._client.set_model_version_tag(self.name, str(version.number), key, value)


def model_digest(path: Path) -> str:
    """SHA-256 over a model folder's names and contents."""
    return digest(path, skip=DOWNLOAD_NOTE)


def load_run_model(run_id: str) -> Any:
    """The fitted classifier of a run."""
    import mlflow.sklearn

    return mlflow.sklearn.load_model(f"runs:/{run_id}/{ARTIFACT}")


def run_signature(run_id: str) -> Any:
    """The MLflow signature (input columns and types) of a run's model."""
    import mlflow

    return mlflow.models.get_model_info(f"runs:/{run_id}/{ARTIFACT}").signature
