"""The limits of a request, and the settings of the server around the scoring script."""

from __future__ import annotations

from typing import Final

MAX_BODY: Final = 16 * 2**20  # bytes
MAX_ROWS: Final = 10_000  # in a request: they are scored in one go, and others wait
# Azure ML's inference server is gunicorn, whose default is one connection at a time: an idle one
# would stop all others. Requests that wait together are scored together.
KEEP_ALIVE: Final = 60  # seconds that an idle connection stays open
SERVER: Final = {
    "GUNICORN_CMD_ARGS": f"--worker-class gthread --threads 32 --keep-alive {KEEP_ALIVE}"
}
