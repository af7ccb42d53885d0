"""What a server's log says of its end."""

from __future__ import annotations

import re

# An error as Python prints it, but for the server's own that wraps the model's.
ERROR = re.compile(r"^(?!azureml_inference_server_http)[\w.]*(?:Error|Exception)\b.*", re.M)


def last_error(log: str) -> str:
    """The last error in a log, or else its last line."""
    lines = ERROR.findall(log) or log.strip().splitlines() or ["it said nothing"]
    return str(lines[-1]).strip()
