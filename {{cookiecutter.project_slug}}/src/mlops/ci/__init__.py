"""The CI job that a command runs in: where its results go, and who approved a release."""

from __future__ import annotations

import importlib
import importlib.util
import os
import sys
from collections.abc import Callable, Mapping
from typing import ClassVar, Final

from mlops.errors import ConfigError, MlopsError

# The variable by which a CI platform tells that a job runs there, and the module that knows it.
# A project has the module of its own platform.
PLATFORMS: Final = {"GITHUB_ACTIONS": "github", "TF_BUILD": "azure_pipelines"}


class Job:
    """No CI job: nothing is reported, and nobody has approved anything."""

    in_ci: ClassVar[bool] = False

    def output(self, name: str, value: str) -> None:
        """Hand a value to the steps and jobs that follow."""

    def summary(self, markdown: str) -> None:
        """Show a text on the page of the run."""

    def url(self) -> str:
        """Return the address of the run's page; "" outside CI."""
        return ""

    def comment(self, marker: str, markdown: str) -> None:
        """Comment on the pull request, or update the comment that carries the marker."""

    def issue(self, title: str, markdown: str) -> None:
        """Open an issue, or update the open one with this title; close it without a text."""

    def is_manual(self) -> bool:
        """Return whether a person started the run."""
        return True

    def approver(self, environment: str, releasers: tuple[str, ...] = ()) -> str:
        """Return who approved that this run changes an environment.

        Parameters
        ----------
        releasers : tuple of str
            Who may release by hand where the platform asks nobody for an approval.

        Raises
        ------
        MlopsError
            Nobody has approved it, or nobody is asked.
        """
        raise ConfigError("Production needs an approval.", "In a script, approve with --yes.")


def current(given: Mapping[str, str] = os.environ) -> Job:
    """Return the job that this command runs in."""
    for variable, name in PLATFORMS.items():
        module = f"mlops.ci.{name}"
        if given.get(variable, "").lower() == "true" and importlib.util.find_spec(module):
            job: Job = importlib.import_module(module).CurrentJob(given)
            return job
    return Job()


def report(act: Callable[[Job], None]) -> int:
    """Act as the current job; show an error, and return the exit code."""
    try:
        act(current())
    except MlopsError as error:
        print(f"Error: {error}\nFix: {error.fix}", file=sys.stderr)
        return 1
    return 0
