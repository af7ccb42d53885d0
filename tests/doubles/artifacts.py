"""Run artifacts, and files uploaded for the model registry, in azureml-mlflow's API."""

from pathlib import Path
from urllib.parse import quote

from doubles.cloud import DATASTORES, Cloud
from doubles.needs import artifact_needs
from doubles.store import ML
from doubles.web import Answer, AzureError, Names, Request, Route

SCOPE = f"/subscriptions/{{subscription}}/resourceGroups/{{group}}/providers/{ML}/workspaces/{{workspace}}"
RUN = f"/history/v1.0{SCOPE}/experiments/{{experiment}}/runs/{{run}}/artifacts"
UPLOAD = f"/artifact/v2.0{SCOPE}/artifacts/{{origin}}/{{container}}"


class Artifacts:
    """Files by origin (a run or an upload), container and path."""

    def __init__(self, cloud: Cloud) -> None:
        self._cloud = cloud

    def routes(self) -> list[Route]:
        return [
            route
            for root in (RUN, UPLOAD)
            for route in (
                Route("GET", root, self._list, needs=artifact_needs),
                Route("GET", root + "/contentinfo", self._find, needs=artifact_needs),
                Route("POST", root + "/batch/metadata", self._create, needs=artifact_needs),
            )
        ]

    def _location(self, names: Names) -> tuple[str, str, str, str]:
        """Return a request's origin and container, and their datastore and folder."""
        if "run" in names:
            container = f"dcid.{names['run']}"
            return "ExperimentRun", container, "workspaceartifactstore", f"ExperimentRun/{container}"
        origin, container = names["origin"], names["container"]
        return origin, container, "workspaceblobstore", f"{origin}/{container}"

    def _home(self, names: Names) -> Path:
        _, _, store, folder = self._location(names)
        return self._cloud.datastore(self._cloud.workspace(names), store) / folder

    def _list(self, _: Request, names: Names) -> Answer:
        home = self._home(names)
        paths = [file.relative_to(home).as_posix() for file in sorted(home.rglob("*")) if file.is_file()]
        return Answer(200, {"value": [self._artifact(names, path) for path in paths]})

    def _find(self, request: Request, names: Names) -> Answer:
        path = request.query.get("path", "")
        if not (self._home(names) / path).is_file():
            raise AzureError(404, "UserError", f"Could not find artifact with path {path}.")
        return Answer(200, self._information(names, path))

    def _create(self, request: Request, names: Names) -> Answer:
        """Return upload addresses for new files; an existing file is an error, as on Azure."""
        home = self._home(names)
        paths = [given["path"] for given in request.json()["paths"]]
        existing = [path for path in paths if (home / path).is_file()]
        origin, container, _, _ = self._location(names)
        conflicts = {
            path: {
                "error": {
                    "code": "UserError",
                    "message": f"Resource Conflict: ArtifactId {origin}/{container}/{path} already exists.",
                }
            }
            for path in existing
        }
        new = [path for path in paths if path not in existing]
        information = {path: self._information(names, path) for path in new}
        artifacts = {path: self._artifact(names, path) for path in new}
        return Answer(200, {"artifacts": artifacts, "artifactContentInformation": information, "errors": conflicts})

    def _artifact(self, names: Names, path: str) -> dict[str, str]:
        origin, container, _, _ = self._location(names)
        identity = f"{origin}/{container}/{quote(path)}"
        return {"artifactId": identity, "origin": origin, "container": container, "path": path}

    def _information(self, names: Names, path: str) -> dict[str, str]:
        origin, container, store, folder = self._location(names)
        holder = self._cloud.account(self._cloud.workspace(names))
        address = self._cloud.storage.signed_url(holder, DATASTORES[store], f"{folder}/{path}")
        return {"contentUri": address, "origin": origin, "container": container, "path": path}
