"""The CI platform that a project was rendered for; it has no files of the other."""

from __future__ import annotations

import importlib

from mlops.connect.settings import Settings
from mlops.connect.steps import Choices, Platform, Record


def platform_of(settings: Settings, record: Record, choices: Choices | None = None) -> Platform:
    """Return the platform of a project."""
    module = importlib.import_module(f"mlops.connect.{settings.platform}.wiring")
    platform: Platform = module.Wiring(settings, record, choices or Choices())
    return platform
