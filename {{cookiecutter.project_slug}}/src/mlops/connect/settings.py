"""What connect needs of project.yml, read without a YAML library: nothing is installed yet."""

from __future__ import annotations

import re
from dataclasses import dataclass
from pathlib import Path
from typing import Final

from mlops import naming
from mlops.errors import ConfigError

PLACEHOLDER: Final = "ORG"  # the owner in the default answers


@dataclass(frozen=True)
class Settings:
    """A project's settings.

    Attributes
    ----------
    repository :
        owner/name on GitHub, project/repository on Azure DevOps.
    private :
        Whether its Azure resources answer in their own network only.
    inside :
        Whether its endpoints do, so that releases need a runner there.
    releasers :
        Whether project.yml names who may release by hand.
    """

    root: Path
    name: str
    repository: str
    prefix: str
    private: bool
    inside: bool
    releasers: bool

    @property
    def platform(self) -> str:
        """Return which CI platform has files here: "github" or "azure_devops"."""
        on_github = (self.root / ".github" / "workflows").is_dir()
        return "github" if on_github else "azure_devops"

    def resource(self, key: str, environment: str, subscription: str = "") -> str:
        """Return the name of a resource on Azure, by its key in `naming.RULES`."""
        unique = naming.unique(subscription, self.prefix, environment)
        return naming.RULES[key].name(self.prefix, environment, unique=unique)


def read_settings(root: Path) -> Settings:
    """Read project.yml.

    Raises
    ------
    ConfigError
        It does not exist, or a setting is missing.
    """
    try:
        text = (root / "project.yml").read_text(encoding="utf-8")
    except OSError as error:
        raise ConfigError(
            f"{root} has no project.yml that can be read ({error.strerror}).",
            "Run it in a project's folder, or name one with --project.",
        ) from error
    azure = re.search(r"^azure:.*\n((?:[ #].*\n|\n)*)", f"{text}\n", re.MULTILINE)
    network = _value(azure[1] if azure else "", "network", "  ")
    target = re.compile(r"target: *['\"]?(kubernetes|container-instance)\b")
    return Settings(
        root,
        _need(text, "project"),
        _need(text, "repository"),
        _need(azure[1] if azure else "", "prefix", "  "),
        network == "private",
        network == "private" or target.search(text) is not None,
        re.search(r"\breleasers: *\[[^\]#]*\w", text) is not None,
    )


def write_repository(root: Path, repository: str) -> None:
    """Replace the repository in project.yml."""
    file = root / "project.yml"
    text = file.read_text(encoding="utf-8")
    text = re.sub(r"^repository:.*$", lambda _: f"repository: {repository}", text, flags=re.M)
    file.write_text(text, encoding="utf-8")


def _need(text: str, key: str, indent: str = "") -> str:
    value = _value(text, key, indent)
    if not value:
        where = f"azure.{key}" if indent else key
        raise ConfigError(
            f"project.yml has no {where} on a line of its own.", f"Write it as `{key}: VALUE`."
        )
    return value


def _value(text: str, key: str, indent: str) -> str:
    """Return a value that is a plain or quoted word, or ""."""
    quoted = rf"^{indent}{key}: *(?:'([^']*)'|\"([^\"]*)\"|([^\s'\"#{{\[][^#\n]*?)) *(?: #.*)?$"
    found = re.search(quoted, text, re.MULTILINE)
    return (found[1] or found[2] or found[3] or "").strip() if found else ""
