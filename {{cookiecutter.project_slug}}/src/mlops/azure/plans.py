"""The plans that wait for an approval: blobs beside the state, named by their digest.

Plans contain secrets of the state, so they are not artifacts of CI, which everybody can download
who may read the repository.
"""

from __future__ import annotations

import contextlib
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Final

from azure.core.exceptions import AzureError as SdkError
from azure.core.exceptions import ResourceNotFoundError
from azure.storage.blob import ContainerClient

from mlops.azure.credential import make_credential
from mlops.config import Environment
from mlops.errors import AzureError, first_line
from mlops.outputs import digest

CONTAINER: Final = "tfplans"
NOT_PREPARED: Final = (
    "Apply infra/bootstrap/ for this environment (docs/infrastructure.md): it creates the account "
    "and its roles, which take up to ten minutes to take effect."
)


@dataclass(frozen=True)
class Plans:
    """The plans of one environment, in the storage account of its state."""

    account: str
    environment: Environment

    def add(self, file: Path) -> str:
        """Store a plan, and return its digest."""
        name = digest(file)
        with self._open() as container, file.open("rb") as stream:
            container.upload_blob(self._path(name), stream, overwrite=True)
        return name

    def fetch(self, name: str, file: Path) -> None:
        """Write the plan with a digest to a file.

        Raises
        ------
        AzureError
            The environment has no such plan, or its content has another digest.
        """
        with self._open() as container:
            try:
                content = container.download_blob(self._path(name)).readall()
            except ResourceNotFoundError as error:
                if getattr(error, "error_code", "") != "BlobNotFound":
                    raise
                raise AzureError(
                    f"{self.environment.capitalize()} has no plan {name}: it was applied, is older "
                    "than a month, or was made for another environment. Nothing was applied.",
                    "Make a new plan, and have it approved.",
                ) from error
        file.write_bytes(content)
        if digest(file) != name:
            raise AzureError(
                f"The plan {name} of {self.environment} was changed after it was made. Nothing "
                "was applied.",
                f"Find out who may write {CONTAINER} in {self.account}. Then make a new plan.",
            )

    def remove(self, name: str) -> None:
        """Remove a plan."""
        with self._open() as container:
            container.delete_blob(self._path(name))

    def _path(self, name: str) -> str:
        return f"{self.environment}/{name}"

    @contextlib.contextmanager
    def _open(self) -> Iterator[ContainerClient]:
        """Return the container; turn the SDK's errors into an `AzureError`."""
        url = f"https://{self.account}.blob.core.windows.net"
        try:
            with ContainerClient(url, CONTAINER, make_credential()) as container:
                yield container
        except SdkError as error:
            raise AzureError(
                f"Could not use the plans of {self.environment} in {self.account}: "
                f"{first_line(error)}",
                NOT_PREPARED,
            ) from error
