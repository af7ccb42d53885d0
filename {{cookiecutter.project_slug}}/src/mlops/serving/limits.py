"""The limits of a request, and the settings of the server around the scoring script."""

from __future__ import annotations

from typing import TYPE_CHECKING, Final

from mlops.model.loading import trust

if TYPE_CHECKING:
    from mlops.config import Project

MAX_BODY: Final = 16 * 2**20  # bytes
TOO_LARGE: Final = f"The body is larger than {MAX_BODY:,} bytes."
MAX_ROWS: Final = 10_000  # in a request: they are scored in one go, and others wait
# Azure ML's inference server is gunicorn, whose default is one connection at a time: an idle one
# would stop all others. Requests that wait together are scored together.
KEEP_ALIVE: Final = 60  # seconds that an idle connection stays open
SERVER: Final = {
    "GUNICORN_CMD_ARGS": f"--worker-class gthread --threads 32 --keep-alive {KEEP_ALIVE}"
}


def server_settings(project: Project, digest: str) -> dict[str, str]:
    """Return the environment variables of a server of the model with a digest, on every target."""
    return {**trust(project, digest).variables(), **SERVER}
