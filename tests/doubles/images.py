"""Container images without Docker: the files that a Dockerfile copies, its environment and its command.

RUN is ignored. An image's digest is that of all this.
"""

import hashlib
import json
import re
import shlex
import shutil
import tempfile
from collections.abc import Mapping
from pathlib import Path
from string import Template
from typing import Any

HOST = ".azurecr.io"
# This machine's Python stands in for that of the image.
OF_THE_MACHINE = ("PATH", "LD_LIBRARY_PATH")


class BuildError(Exception):
    """A build has failed, with the last line of its log."""


class Images:
    """The images of all registries."""

    def __init__(self, folder: Path) -> None:
        self._folder = folder

    def find(self, reference: str) -> Path | None:
        """Return the folder of an image HOST/REPOSITORY@DIGEST, with image.json and files/, or None."""
        host, _, rest = reference.partition("/")
        repository, _, digest = rest.partition("@sha256:")
        place = self._folder / host / repository / digest
        return place if digest and (place / "image.json").is_file() else None

    def build(self, host: str, repository: str, context: Path, arguments: Mapping[str, str]) -> str:
        """Build the Dockerfile of a folder; return the image's digest."""
        with tempfile.TemporaryDirectory() as scratch:
            home = Path(scratch) / "image"
            built = self._run(host, context, home / "files", arguments)
            (home / "image.json").write_text(json.dumps(built, indent=1), encoding="utf-8")
            digest = _digest(home)
            shutil.copytree(home, self._folder / host / repository / digest, dirs_exist_ok=True)
        return f"sha256:{digest}"

    def copy(self, reference: str, host: str) -> None:
        """Copy an image to another registry."""
        found = self.find(reference)
        assert found is not None
        shutil.copytree(found, self._folder / host / found.parent.name / found.name, dirs_exist_ok=True)

    def _run(self, host: str, context: Path, files: Path, arguments: Mapping[str, str]) -> dict[str, Any]:
        """Copy a Dockerfile's files into `files`; return the image's environment, command and working directory."""
        variables: dict[str, str] = {}
        image: dict[str, Any] = {"environment": {}, "command": [], "workdir": "/"}
        files.mkdir(parents=True)
        dockerfile = (context / "Dockerfile").read_text("utf-8")
        for line in re.sub(r"\\\s*\n", " ", re.sub(r"(?m)^\s*#.*\n", "", dockerfile)).splitlines():
            instruction, _, rest = line.strip().partition(" ")
            rest = Template(rest).safe_substitute(variables)
            match instruction.upper():
                case "FROM":
                    image |= self._base(host, rest.strip(), files)
                case "ARG":
                    name, _, default = rest.strip().partition("=")
                    variables[name] = arguments.get(name, default)
                case "ENV":
                    given = dict(word.split("=", 1) for word in shlex.split(rest))
                    variables |= given
                    image["environment"] |= {k: v for k, v in given.items() if k not in OF_THE_MACHINE}
                case "COPY":
                    *sources, target = [word for word in shlex.split(rest) if not word.startswith("--")]
                    _copy([context / source for source in sources], files / target.lstrip("/"), target.endswith("/"))
                case "WORKDIR":
                    image["workdir"] = rest.strip()
                    (files / rest.strip().lstrip("/")).mkdir(parents=True, exist_ok=True)
                case "CMD" | "ENTRYPOINT":
                    image["command"] = json.loads(rest)
        return image

    def _base(self, host: str, base: str, files: Path) -> dict[str, Any]:
        """Return the image that another one starts from.

        Docker Hub limits anonymous pulls by address, and all builds of a region share a few.
        Source: Azure-Samples/azure-search-openai-demo#3101.
        """
        if base.startswith(f"{host}/"):
            found = self.find(base)
            if found is None:
                raise BuildError(f"failed to resolve reference {base}: not found")
            shutil.copytree(found / "files", files, dirs_exist_ok=True)
            return dict(json.loads((found / "image.json").read_text("utf-8")))
        if HOST in base:
            raise BuildError(f"failed to resolve reference {base}: unauthorized")
        named = re.match(r"[^/]*[.:][^/]*/", base)
        if base != "scratch" and (named is None or base.startswith("docker.io/")):
            raise BuildError("toomanyrequests: You have reached your unauthenticated pull rate limit.")
        return {}


def _digest(home: Path) -> str:
    """Return the digest of a folder's content."""
    total = hashlib.sha256()
    for file in sorted(path for path in home.rglob("*") if path.is_file()):
        total.update(f"{file.relative_to(home).as_posix()}\n".encode())
        total.update(file.read_bytes())
    return total.hexdigest()


def _copy(sources: list[Path], target: Path, into: bool) -> None:
    for source in sources:
        if not source.exists():
            raise BuildError(f'COPY failed: file not found in build context: "{source.name}"')
        place = target / source.name if source.is_file() and (into or len(sources) > 1) else target
        place.parent.mkdir(parents=True, exist_ok=True)
        if source.is_dir():
            shutil.copytree(source, place, dirs_exist_ok=True)
        else:
            shutil.copy2(source, place)
