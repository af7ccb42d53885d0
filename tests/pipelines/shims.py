"""Stand-ins for the programs that pipelines call: they note how they were called, and end as a test wants."""

import json
import os
import sys
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

PROGRAMS = ("az", "curl", "mlops", "mypy", "pytest", "python", "python3", "ruff", "sha256sum", "terraform")
NOTED = ("AZURE", "MLOPS_", "PYTHONPATH", "SYSTEM_ACCESSTOKEN", "TF_BUILD")
PROGRAM = f"""#!{sys.executable} -S
import json, os, sys
from fnmatch import fnmatch
folder = {{folder!r}}
words = " ".join([os.path.basename(sys.argv[0]), *sys.argv[1:]])
noted = {{{{name: value for name, value in os.environ.items() if name.startswith({NOTED!r})}}}}
with open(folder + "/calls", "a") as file:
    file.write(json.dumps([words, noted]) + "\\n")
if words == "python -m venv .venv":
    os.makedirs(".venv/bin", exist_ok=True)
    os.symlink(folder + "/bin/python", ".venv/bin/python")
if words.startswith("az account show"):
    print("subscription-of-" + noted["AZURESUBSCRIPTION_CLIENT_ID"])
with open(folder + "/ends") as file:
    ends = [end for pattern, end in json.load(file).items() if fnmatch(words, pattern)] + [[{{{{}}}}]]
with open(folder + "/calls") as file:
    before = sum(json.loads(line)[0] == words for line in file) - 1
end = ends[0][min(before, len(ends[0]) - 1)]
for name, content in end.get("files", {{{{}}}}).items():
    name = name.format(*sys.argv)
    os.makedirs(os.path.dirname(name) or ".", exist_ok=True)
    with open(name, "w") as file:
        file.write(content)
for name, value in end.get("outputs", {{{{}}}}).items():
    print(f"##vso[task.setvariable variable={{{{name}}}};isOutput=true]{{{{value}}}}", flush=True)
sys.exit(end.get("code", 0))
"""


@dataclass(frozen=True)
class Call:
    """How a program was called."""

    words: str
    environment: Mapping[str, str]


@dataclass(frozen=True)
class Shims:
    """A folder of stand-ins."""

    folder: Path

    @property
    def path(self) -> str:
        """Return a PATH on which the stand-ins come first."""
        return f"{self.folder / 'bin'}{os.pathsep}{os.environ['PATH']}"

    def calls(self, *programs: str) -> list[Call]:
        """Return the calls of some programs so far, in order."""
        file = self.folder / "calls"
        lines = file.read_text("utf-8").splitlines() if file.exists() else []
        made = [Call(*json.loads(line)) for line in lines]
        return [call for call in made if call.words.split()[0] in programs]


def make_shims(folder: Path, ends: Mapping[str, Sequence[Mapping[str, object]]]) -> Shims:
    """Make stand-ins.

    Parameters
    ----------
    ends :
        By a pattern of a call's words, for the first time, the second and so on: its exit code, the outputs that it
        sets and the files that it writes, where `{2}` is its second word; by default 0 and none.
    """
    (folder / "bin").mkdir(parents=True)
    (folder / "ends").write_text(json.dumps(ends), "utf-8")
    for name in PROGRAMS:
        program = folder / "bin" / name
        program.write_text(PROGRAM.format(folder=str(folder)), "utf-8")
        program.chmod(0o755)
    return Shims(folder)
