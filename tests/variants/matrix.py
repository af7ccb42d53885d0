"""The cases: the answers to render, and their renders by cookiecutter and cruft."""

import hashlib
import importlib.util
import json
import multiprocessing
import os
import runpy
import shutil
import sys
import tempfile
import traceback
from collections.abc import Callable, Iterator, Sequence
from concurrent.futures import Future, ProcessPoolExecutor
from contextlib import contextmanager
from dataclasses import dataclass
from functools import cache, partialmethod
from itertools import combinations_with_replacement, product
from pathlib import Path

from cookiecutter import hooks
from cookiecutter.environment import StrictEnvironment
from cookiecutter.exceptions import CookiecutterException, FailedHookException, UndefinedVariableInTemplate
from cookiecutter.generate import generate_context, generate_files
from cookiecutter.main import cookiecutter
from cookiecutter.prompt import prompt_for_config
from cruft._commands.utils.cookiecutter import generate_cookiecutter_context, get_cookiecutter_repo
from doubles.forked import end_after
from jinja2 import FileSystemBytecodeCache, TemplateError, TemplateSyntaxError

from variants.findings import Answers, Finding

# Changes no file.
WITHOUT_FILES = {"connect"}
ROOM = 2**30  # bytes; today's variants take a tenth

Create = Callable[[Path, Answers, Path, Path], Path]


@dataclass(frozen=True)
class Rendered:
    """A rendered project: its folder, and the SHA-256 of each file by its path."""

    folder: Path
    files: dict[str, str]


def all_variants(template: Path) -> tuple[list[Answers], list[Answers]]:
    """Return the combinations of choices that the pre_gen hook accepts, and those it refuses."""
    questions = json.loads((template / "cookiecutter.json").read_text(encoding="utf-8"))
    options = {name: value for name, value in questions.items() if isinstance(value, list) and name[0] != "_"}
    options = {name: choices for name, choices in options.items() if name not in WITHOUT_FILES}
    spec = importlib.util.spec_from_file_location("hook_of_template", template / "hooks" / "pre_gen_project.py")
    assert spec is not None
    assert spec.loader is not None
    hook = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(hook)
    accepted: list[Answers] = []
    refused: list[Answers] = []
    for choices in product(*options.values()):
        variant = dict(zip(options, choices, strict=True))
        (refused if hook.find_problems(all_answers(template, variant)) else accepted).append(variant)
    return accepted, refused


def all_answers(template: Path, given: Answers) -> Answers:
    """Return the given answers, and for the rest the defaults as cookiecutter derives them."""
    context = generate_context(str(template / "cookiecutter.json"), extra_context=given)
    return {name: str(text) for name, text in prompt_for_config(context, no_input=True).items() if name[0] != "_"}


def name_of(variant: Answers) -> str:
    """Name a variant as the command takes it: ``ci_cd=github-actions+serving=managed``."""
    return "+".join(f"{option}={choice}" for option, choice in variant.items())


def pairwise(variants: Sequence[Answers]) -> list[Answers]:
    """Return a few of the variants that cover every pair of choices, the first variant included."""

    def pairs(variant: Answers) -> set[tuple[tuple[str, str], ...]]:
        return set(combinations_with_replacement(variant.items(), 2))

    chosen = [variants[0]]
    left = set().union(*map(pairs, variants)) - pairs(variants[0])
    while left:
        chosen.append(max(variants, key=lambda variant: len(pairs(variant) & left)))
        left -= pairs(chosen[-1])
    return chosen


def memory() -> Path | None:
    """Return a folder in memory, if it has room: on a disk, creating files is most of a render's time."""
    folder = Path("/dev/shm")  # noqa: S108 -- a new folder of our own is made in it
    return folder if folder.is_dir() and shutil.disk_usage(folder).free > ROOM else None


def render_all(
    template: Path, cases: Sequence[Answers], work: Path
) -> Iterator[tuple[Rendered | Finding, Rendered | Finding]]:
    """Render each case into work/POSITION by cookiecutter, and in another process by cruft; yield both, in order.

    The two processes have different hash seeds: whatever depends on the order of a set differs between them.
    """
    with worker(work) as first, worker(work) as second:
        renders: list[tuple[Future[Rendered | Finding], Future[Rendered | Finding]]] = []
        for position, answers in enumerate(cases):
            pools = (first, second) if position % 2 else (second, first)
            renders.append(
                (
                    pools[0].submit(_render, _by_cookiecutter, template, answers, work / str(position), work),
                    pools[1].submit(_render_to_compare, template, answers, work),
                )
            )
        for one, two in renders:
            yield one.result(), two.result()


@contextmanager
def worker(work: Path) -> Iterator[ProcessPoolExecutor]:
    """Run a process that keeps compiled templates below ``work``, where the other finds them."""
    (work / "bytecode").mkdir(parents=True, exist_ok=True)
    (work / "settings.yml").write_text(f"replay_dir: '{work}/replay'\ncookiecutters_dir: '{work}/clones'\n")
    spawn = multiprocessing.get_context("spawn")
    with ProcessPoolExecutor(1, spawn, _prepare, (work,)) as pool:
        yield pool


def _prepare(work: Path) -> None:
    """Make cookiecutter fast: reuse compiled templates, and fork this process for each hook.

    Starting an interpreter for each hook would take as long as the rest of a render.
    """
    os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())  # the hooks' messages
    tempfile.tempdir = str(work)  # cookiecutter leaves each rendered hook in the temporary directory
    cache = FileSystemBytecodeCache(str(work / "bytecode"))
    StrictEnvironment.__init__ = partialmethod(StrictEnvironment.__init__, bytecode_cache=cache)
    hooks.run_script = _run_hook


def _run_hook(script: str, folder: Path | str = ".") -> None:
    """Run a rendered hook as cookiecutter does, in its own process and in the project's folder.

    Raises:
        FailedHookException: The hook exited with another code than 0.
    """

    def program() -> None:
        os.chdir(folder)
        runpy.run_path(script, run_name="__main__")

    process = os.fork()
    if not process:
        end_after(program)
    code = os.waitstatus_to_exitcode(os.waitpid(process, 0)[1])
    if code:
        raise FailedHookException(f"Hook script failed (exit status: {code})")


def _by_cookiecutter(template: Path, answers: Answers, output: Path, settings: Path) -> Path:
    rendered = cookiecutter(
        str(template), no_input=True, extra_context=answers, output_dir=str(output), config_file=str(settings)
    )
    return Path(str(rendered))


def _by_cruft(template: Path, answers: Answers, output: Path, settings: Path) -> Path:
    """Do what `cruft create` does, without a clone for each render, which takes longer than the render."""
    clone, commit = _clone(template, settings.parent)
    context = generate_cookiecutter_context(str(template), commit, clone, settings, False, answers, True)
    return Path(str(generate_files(clone, context, output)))


@cache
def _clone(template: Path, work: Path) -> tuple[Path, str]:
    """Clone the template as cruft does, once per process; return the clone and its commit."""
    folder = Path(tempfile.mkdtemp(prefix="clone-", dir=work))
    return folder, get_cookiecutter_repo(str(template), folder).head.object.hexsha


def _render(create: Create, template: Path, answers: Answers, output: Path, work: Path) -> Rendered | Finding:
    try:
        folder = create(template, answers, output, work / "settings.yml")
    except TemplateSyntaxError as error:
        return Finding("render", error.filename or "", error.lineno, "", error.message or "")
    except UndefinedVariableInTemplate as error:
        return Finding("render", *_place(error.error), "", str(error.error))
    except (CookiecutterException, TemplateError) as error:
        return Finding("render", "", 0, type(error).__name__, str(error))
    files = {
        path.relative_to(folder).as_posix(): hashlib.sha256(path.read_bytes()).hexdigest()
        for path in sorted(folder.rglob("*"))
        if path.is_file()
    }
    return Rendered(folder, files)


def _render_to_compare(template: Path, answers: Answers, work: Path) -> Rendered | Finding:
    """Render with cruft; keep the digests only."""
    with tempfile.TemporaryDirectory(dir=work) as output:
        return _render(_by_cruft, template, answers, Path(output), work)


def _place(error: Exception) -> tuple[str, int]:
    """Return the template and the line that raised a Jinja error; Python's own files have absolute paths."""
    frames = [f for f in traceback.extract_tb(error.__traceback__) if not Path(f.filename).is_absolute()]
    return (os.path.normpath(frames[-1].filename), frames[-1].lineno or 0) if frames else ("", 0)
