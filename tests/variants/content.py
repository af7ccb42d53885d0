"""Our own rules for every file: its path, its text, and what the template left in it."""

import json
import re
import tomllib
from collections.abc import Iterator

# The line (0: none), the rule, the message.
Problem = tuple[int, str, str]

# Microsoft's "Naming Files, Paths, and Namespaces".
ILLEGAL_ON_WINDOWS = re.compile(r'[<>:"\\|?*\x00-\x1f]|[ .](?=/|$)')
WINDOWS_DEVICE = re.compile(r"(?:^|/)(?:con|prn|aux|nul|com[0-9]|lpt[0-9])(?:\.[^/]*)?(?=/|$)", re.IGNORECASE)
# Windows allows 260 characters, including the folder that holds the project.
LONGEST_PATH = 150

# Doubled braces are common in Python's f-strings; after a dollar they are GitHub's own.
LEFTOVERS = (
    ("cookiecutter", re.compile(rb"(?:\{[{%#][^\n]*\b|\b_{0,2})cookiecutter(?=\.\w|\b[^\n]*[}%#]\})")),
    ("statement", re.compile(rb"\{%-?\s*\w")),
    ("comment", re.compile(rb"(?<![$\w])\{#")),
)
EXPRESSION = re.compile(rb"(?<!\$)\{\{")


def name_problems(path: str, _content: bytes) -> Iterator[Problem]:
    """Yield the reasons why Windows cannot check out a path."""
    if found := ILLEGAL_ON_WINDOWS.search(path):
        yield 0, "character", f"Windows does not allow {found[0]!r} there"
    if WINDOWS_DEVICE.search(path):
        yield 0, "device", "the name of a device on Windows"
    if len(path) > LONGEST_PATH:
        yield 0, "length", f"{len(path)} characters, {LONGEST_PATH} leave room for the folder before it"


def text_problems(path: str, content: bytes) -> Iterator[Problem]:
    """Yield what an editor that follows .editorconfig would fix."""
    try:
        content.decode()
    except UnicodeDecodeError as error:
        yield _line(content, error.start), "utf-8", "not UTF-8"
    if content and not content.endswith(b"\n"):
        yield _line(content, len(content)), "end", "no newline at the end"
    blank_lines = rb"\n{4,}" if path.endswith(".py") else rb"\n{3,}"  # two before a definition are Python's form
    for rule, pattern, message in (
        ("carriage-return", rb"\r", "a carriage return"),
        ("tab", rb"\t", "a tab"),
        ("trailing", rb"[ \t]+(?=\r?\n)", "blanks at the end of the line"),
        ("blank-lines", rb"\A\n|" + blank_lines + rb"|(?<=\n)\n\Z", "more blank lines than needed"),
    ):
        if found := re.search(pattern, content):
            yield _line(content, found.start()), rule, message


def leftovers(path: str, content: bytes) -> Iterator[Problem]:
    """Yield what looks like the template's own Jinja."""
    for rule, pattern in LEFTOVERS:
        for found in pattern.finditer(content):
            yield _line(content, found.start()), rule, f"looks like the template's own: {_from(content, found)}"
    if not path.endswith(".py"):
        for found in EXPRESSION.finditer(content):
            yield _line(content, found.start()), "expression", f"an expression of Jinja: {_from(content, found)}"


def toml_problems(_path: str, content: bytes) -> Iterator[Problem]:
    try:
        tomllib.loads(content.decode())
    except ValueError as error:
        found = re.search(r"at line (\d+)", str(error))
        yield int(found[1]) if found else 0, "syntax", str(error)


def json_problems(_path: str, content: bytes) -> Iterator[Problem]:
    try:
        json.loads(content)
    except json.JSONDecodeError as error:
        yield error.lineno, "syntax", error.msg
    except ValueError as error:
        yield 0, "syntax", str(error)


def _line(content: bytes, position: int) -> int:
    return content.count(b"\n", 0, position) + 1


def _from(content: bytes, found: re.Match[bytes]) -> str:
    """Return the rest of the line, as much as a message needs."""
    return content[found.start() :].partition(b"\n")[0][:60].decode(errors="replace")
