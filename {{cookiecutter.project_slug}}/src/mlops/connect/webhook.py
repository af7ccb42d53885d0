"""The webhook of Teams or Slack that is told when a version waits for an approval."""

from __future__ import annotations

import re
from typing import Final

from mlops.errors import ConfigError

WEBHOOK: Final = "MLOPS_WEBHOOK"


def check_webhook(value: str) -> str:
    """Return an address; its errors do not show it, because it is a secret.

    Raises
    ------
    ConfigError
        It is not the address of a webhook.
    """
    if not re.fullmatch(r"https://[^\s/]+/\S*", value):
        raise ConfigError(
            f"{WEBHOOK} is not the address of a webhook.", "Set it to https://..., or unset it."
        )
    return value
