"""Expressions of Azure Pipelines: literals, names, properties and the functions that the template's pipelines use."""

import re
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass
from functools import partial
from typing import Any

from pipelines.loading import PipelineError

TOKEN = re.compile(
    r"\s*(?:(?P<string>'(?:[^']|'')*')|(?P<number>-?\d+(?:\.\d+)?)|(?P<name>[A-Za-z_]\w*)|(?P<mark>[()\[\],.]))"
)
STATUS = ("always", "canceled", "failed", "succeeded", "succeededOrFailed")


@dataclass(frozen=True)
class Literal:
    """A value that is written out."""

    value: Any


@dataclass(frozen=True)
class Name:
    """A value of the context, such as variables."""

    name: str


@dataclass(frozen=True)
class Item:
    """An item of a mapping or list: `a.b` or `a['b']`."""

    of: "Node"
    key: "Node"


@dataclass(frozen=True)
class Call:
    """A function's value."""

    function: str
    arguments: tuple["Node", ...]


Node = Literal | Name | Item | Call


class Strict(dict[str, Any]):
    """A mapping of which only known items may be used, such as a template's parameters."""


def parse(text: str) -> Node:
    """Return an expression's tree."""
    parser = _Parser(text)
    node = parser.expression()
    parser.end()
    return node


class _Parser:
    def __init__(self, text: str) -> None:
        self._text = text
        self._tokens = list(_tokens(text))

    def expression(self) -> Node:
        kind, word = self._take()
        if kind == "string":
            return self._items(Literal(word[1:-1].replace("''", "'")))
        if kind == "number":
            return Literal(float(word) if "." in word else int(word))
        if kind != "name":
            raise self._error(f"unexpected {word}")
        if self._next("("):
            return self._items(Call(word, tuple(self._arguments())))
        constants = {"true": True, "false": False, "null": None}
        return Literal(constants[word.lower()]) if word.lower() in constants else self._items(Name(word))

    def end(self) -> None:
        if self._tokens:
            raise self._error(f"unexpected {self._tokens[0][1]}")

    def _items(self, node: Node) -> Node:
        while True:
            if self._next("."):
                kind, word = self._take()
                if kind != "name":
                    raise self._error(f"unexpected {word}")
                node = Item(node, Literal(word))
            elif self._next("["):
                node = Item(node, self.expression())
                self._expect("]")
            else:
                return node

    def _arguments(self) -> Iterator[Node]:
        if self._next(")"):
            return
        yield self.expression()
        while self._next(","):
            yield self.expression()
        self._expect(")")

    def _take(self) -> tuple[str, str]:
        if not self._tokens:
            raise self._error("unexpected end")
        return self._tokens.pop(0)

    def _next(self, mark: str) -> bool:
        found = self._tokens[:1] == [("mark", mark)]
        if found:
            self._tokens.pop(0)
        return found

    def _expect(self, mark: str) -> None:
        if not self._next(mark):
            raise self._error(f"{mark} is missing")

    def _error(self, what: str) -> PipelineError:
        return PipelineError(f"`{self._text.strip()}`: {what}")


def _tokens(text: str) -> Iterator[tuple[str, str]]:
    position = 0
    while text[position:].strip():
        found = TOKEN.match(text, position)
        if not found or not found.lastgroup:
            raise PipelineError(f"`{text.strip()}`: not understood from `{text[position:].strip()}`")
        yield found.lastgroup, found[found.lastgroup]
        position = found.end()


def walk(node: Node) -> Iterator[Node]:
    """Return a tree's nodes, from the top."""
    yield node
    match node:
        case Item(of, key):
            yield from walk(of)
            yield from walk(key)
        case Call(_, arguments):
            for argument in arguments:
                yield from walk(argument)


def functions(text: str) -> set[str]:
    """Return the names of the functions that an expression calls."""
    return {node.function for node in walk(parse(text)) if isinstance(node, Call)}


def paths(text: str) -> set[tuple[str, ...]]:
    """Return the longest paths into the context that an expression uses, such as (variables, x)."""
    found = {path for node in walk(parse(text)) if (path := _path(node))}
    return {path for path in found if not any(other != path and other[: len(path)] == path for other in found)}


def _path(node: Node) -> tuple[str, ...]:
    match node:
        case Name(name):
            return (name,)
        case Item(of, Literal(key)):
            start = _path(of)
            return (*start, str(key)) if start else ()
    return ()


Function = Callable[..., Any]


def evaluate(text: str, context: Mapping[str, Any], status: Mapping[str, Function] | None = None) -> Any:
    """Return an expression's value.

    Parameters
    ----------
    status :
        The functions that ask for the state of what came before.
    """
    return _value(parse(text), context, status or {})


def _value(node: Node, context: Mapping[str, Any], status: Mapping[str, Function]) -> Any:
    match node:
        case Literal(value):
            return value
        case Name(name):
            return _item(Strict(context), name)
        case Item(of, key):
            return _item(_value(of, context, status), _value(key, context, status))
        case Call(name, arguments):
            lazy = [partial(_value, argument, context, status) for argument in arguments]
            if name in status:
                return status[name](*(argument() for argument in lazy))
            if name not in FUNCTIONS:
                raise PipelineError(f"the function {name} is not known here")
            return FUNCTIONS[name](*lazy)


def _item(of: Any, key: Any) -> Any:
    """Return an item, whose name ignores case; null if there is none."""
    if isinstance(of, Mapping):
        for name, value in of.items():
            if name.lower() == to_text(key).lower():
                return value
        if isinstance(of, Strict):
            raise PipelineError(f"{key} is not defined; known are {', '.join(of) or 'none'}")
    if isinstance(of, list) and isinstance(key, int) and 0 <= key < len(of):
        return of[key]
    return None


def to_text(value: Any) -> str:
    """Return a value as text, as where it is inserted."""
    if isinstance(value, dict | list):
        raise PipelineError(f"a mapping or list cannot be part of a text: {value}")
    return "" if value is None else str(value)


def to_bool(value: Any) -> bool:
    """Return a value as a condition: empty texts, 0 and null are false, and any other text is true, 'false' too."""
    return bool(value) or isinstance(value, dict | list)


def equal(left: Any, right: Any) -> bool:
    """Compare, after converting the right side to the left side's type; texts ignore case."""
    if isinstance(left, dict | list) or isinstance(right, dict | list):
        raise PipelineError("comparing mappings or lists is not known here")
    if isinstance(left, bool):
        return left == to_bool(right)
    if isinstance(left, str):
        return left.lower() == to_text(right).lower()
    if left is None:
        return right is None or right == ""
    try:
        return bool(left == float(right or 0))
    except ValueError:
        return False


def _format(pattern: str, *values: Any) -> str:
    return re.sub(r"\{(\d+)\}", lambda found: to_text(values[int(found[1])]), pattern)


FUNCTIONS: dict[str, Function] = {
    "and": lambda *all_of: all(to_bool(one()) for one in all_of),
    "or": lambda *any_of: any(to_bool(one()) for one in any_of),
    "not": lambda one: not to_bool(one()),
    "eq": lambda left, right: equal(left(), right()),
    "ne": lambda left, right: not equal(left(), right()),
    "in": lambda left, *rights: any(equal(left(), right()) for right in rights),
    "coalesce": lambda *values: next((value for one in values if (value := one()) not in (None, "")), None),
    "format": lambda *values: _format(*(one() for one in values)),
}
