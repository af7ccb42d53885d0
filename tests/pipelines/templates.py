"""Expands a pipeline: parameters, `${{ }}` expressions and directives, and the templates that it includes."""

import re
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

from pipelines.expressions import FUNCTIONS, Strict, evaluate, to_bool, to_text
from pipelines.loading import PipelineError, load

DIRECTIVE = re.compile(r"\$\{\{\s*(if|elseif|else|each|insert)\b\s*(.*?)\s*\}\}", re.DOTALL)
EACH = re.compile(r"(\w+)\s+in\s+(.+)", re.DOTALL)
# A text in quotes may hold the end mark.
EXPRESSION = re.compile(r"\$\{\{((?:'(?:[^']|'')*'|(?!\}\}).)*)\}\}", re.DOTALL)
LISTS = ("stages", "jobs", "steps", "variables")
# Expressions are illegal in these (templates.md); they count only in the first file.
TRIGGERS = ("trigger", "pr", "schedules", "resources")
DEEPEST = 100


@dataclass(frozen=True)
class Scope:
    """What a file's expressions see, and where the file is.

    Attributes
    ----------
    root :
        The repository, to which paths that begin with a slash are relative.
    names :
        parameters, variables, and the names of loops around.
    depth :
        How many templates include this one.
    """

    root: Path
    file: Path
    names: Mapping[str, Any]
    depth: int = 0


def expand(
    root: Path, file: str, parameters: Mapping[str, Any] | None = None, variables: Mapping[str, str] | None = None
) -> dict[str, Any]:
    """Return a pipeline without templates, parameters and `${{ }}`.

    Parameters
    ----------
    parameters :
        What a person chose for a run, by name; the others have their defaults.
    variables :
        Predefined variables that are known when the run is created, such as Build.Reason.
    """
    path = root / file
    content = load(path)
    if "extends" in content:
        raise PipelineError("extends is not known here")
    for key in TRIGGERS:
        if "${{" in str(content.get(key)):
            raise PipelineError(f"{key} may hold no expression")
    values = bind(content.pop("parameters", []), parameters or {})
    scope = Scope(root, path, {"parameters": values, "variables": {**(variables or {}), **_static(content)}})
    expanded = _mapping(content, scope)
    if "${{" in str(expanded):
        raise PipelineError("an expression is left, or its result holds one")
    return expanded


def _static(content: Mapping[str, Any]) -> dict[str, str]:
    """Return the variables of a pipeline that expressions can see."""
    given = content.get("variables", {})
    pairs = given.items() if isinstance(given, dict) else [(one.get("name", ""), one.get("value")) for one in given]
    return {name: value for name, value in pairs if isinstance(value, str) and not value.startswith("$")}


def bind(declared: Any, given: Mapping[str, Any]) -> Strict:
    """Return the values of the declared parameters."""
    if not isinstance(declared, list):
        raise PipelineError("parameters must be a list of names and types")
    names = [parameter["name"] for parameter in declared]
    unknown = set(given) - set(names)
    if unknown or len(set(names)) < len(names):
        raise PipelineError(f"unexpected parameters: {', '.join(unknown)}" if unknown else "a parameter occurs twice")
    return Strict({parameter["name"]: _bound(parameter, given) for parameter in declared})


def _bound(parameter: Mapping[str, Any], given: Mapping[str, Any]) -> Any:
    name, kind = parameter["name"], parameter.get("type", "string")
    unknown = set(parameter) - {"name", "type", "default", "values", "displayName"}
    if unknown:
        raise PipelineError(f"the parameter {name} has the unknown keys {', '.join(unknown)}")
    if name not in given and "default" not in parameter:
        raise PipelineError(f"a value for the parameter {name} must be given")
    if "${{" in str(parameter.get("default")):
        raise PipelineError(f"the default of the parameter {name} must be literal")
    value = _typed(name, kind, given.get(name, parameter.get("default")))
    allowed = [_typed(name, kind, one) for one in parameter.get("values", [])]
    if allowed and value not in allowed:
        raise PipelineError(f"{value} is not an allowed value of the parameter {name}")
    return value


def _typed(name: str, kind: str, value: Any) -> Any:
    text = value if isinstance(value, str) else None
    match kind:
        case "string" if text is not None:
            return text
        case "boolean" if text is not None and text.lower() in ("true", "false"):
            return text.lower() == "true"
        case "number" if text is not None and re.fullmatch(r"-?\d+(\.\d+)?", text):
            return float(text) if "." in text else int(text)
        case "object":
            return value
        case "stepList" if isinstance(value, list):
            return value
        case "string" | "boolean" | "number" | "stepList":
            raise PipelineError(f"the parameter {name} is not a valid {kind}: {value}")
    raise PipelineError(f"parameters of type {kind} are not known here")


def _any(node: Any, scope: Scope, key: str = "") -> Any:
    if isinstance(node, dict):
        return _mapping(node, scope)
    if isinstance(node, list):
        return _sequence(node, scope, key)
    return _scalar(node, scope)


def _scalar(text: str, scope: Scope) -> Any:
    """Return a text with its expressions' values; a text that is one expression may become a mapping or list."""
    whole = EXPRESSION.fullmatch(text.strip())
    if whole:
        value = evaluate(whole[1], scope.names)
        return value if isinstance(value, dict | list) else to_text(value)
    return EXPRESSION.sub(lambda found: to_text(evaluate(found[1], scope.names)), text)


def _mapping(node: Mapping[str, Any], scope: Scope) -> dict[str, Any]:
    content: dict[str, Any] = {}
    for key, value, inner in _chosen(node.items(), scope):
        if key is None:
            expanded = _any(value, inner)
            if not isinstance(expanded, dict):
                raise PipelineError(f"a mapping is expected here: {expanded}")
        else:
            expanded = {str(_scalar(key, inner)): _any(value, inner, key)}
        for name, one in expanded.items():
            if name in content:
                raise PipelineError(f"'{name}' is already defined")
            content[name] = one
    return content


def _sequence(node: list[Any], scope: Scope, key: str) -> list[Any]:
    content: list[Any] = []
    for chosen, value, inner in _chosen(_pairs(node), scope):
        if chosen is None:
            expanded = _any(value, inner, key)
            content += expanded if isinstance(expanded, list) else [expanded]
        elif isinstance(value, dict) and "template" in value:
            content += _included(value, inner, key)
        else:
            content.append(_any(value, inner))
    return content


def _pairs(node: list[Any]) -> Iterator[tuple[str, Any]]:
    """Return a list's items: directives by their key, others without one; an expression inserts its list."""
    for item in node:
        only = next(iter(item.items())) if isinstance(item, dict) and len(item) == 1 else None
        if only and DIRECTIVE.fullmatch(only[0].strip()):
            yield only
        elif isinstance(item, str) and EXPRESSION.fullmatch(item.strip()):
            yield "${{ insert }}", item
        else:
            yield "", item


def _chosen(pairs: Iterable[tuple[str, Any]], scope: Scope) -> Iterator[tuple[str | None, Any, Scope]]:
    """Return the pairs that directives leave; those that they insert have no key."""
    done: bool | None = None  # whether a branch of the present chain was taken; None outside one
    for key, value in pairs:
        directive = DIRECTIVE.fullmatch(key.strip())
        kind, text = (directive[1], directive[2]) if directive else ("", "")
        if kind in ("elseif", "else") and done is None:
            raise PipelineError(f"{kind} without if")
        if kind in ("if", "elseif", "else"):
            before = bool(done) if kind != "if" else False
            holds = not before and (kind == "else" or to_bool(evaluate(text, scope.names)))
            done = None if kind == "else" else before or holds
            if holds:
                yield None, value, scope
            continue
        done = None
        if kind == "each":
            for inner in _each(text, scope):
                yield None, value, inner
        elif kind == "insert":
            yield None, value, scope
        else:
            yield key, value, scope


def _each(text: str, scope: Scope) -> Iterator[Scope]:
    found = EACH.fullmatch(text)
    if not found:
        raise PipelineError(f"`each {text}` is not understood")
    name, values = found[1], evaluate(found[2], scope.names)
    if name.lower() in {taken.lower() for taken in (*scope.names, *FUNCTIONS)}:
        raise PipelineError(f"the loop's name {name} is taken")
    if isinstance(values, dict):
        values = [{"key": key, "value": value} for key, value in values.items()]
    if not isinstance(values, list):
        raise PipelineError(f"`each {text}` needs a list or a mapping")
    for value in values:
        yield replace(scope, names={**scope.names, name: value})


def _included(item: Mapping[str, Any], scope: Scope, key: str) -> list[Any]:
    """Return what a template holds."""
    unknown = set(item) - {"template", "parameters"}
    path = str(_scalar(item["template"], scope))
    if unknown or key not in LISTS or "@" in path:
        raise PipelineError(f"a template of this form is not known here: {dict(item)}")
    if scope.depth == DEEPEST:
        raise PipelineError(f"more than {DEEPEST} templates include each other")
    file = scope.root / path[1:] if path.startswith("/") else scope.file.parent / path
    content = load(file)
    if set(content) - {"parameters"} != {key}:
        raise PipelineError(f"{path} must hold {key}, and nothing else but parameters")
    given = _any(item.get("parameters", {}), scope)
    try:
        names = {"parameters": bind(content.get("parameters", []), given), "variables": scope.names["variables"]}
        expanded = _sequence(content[key], Scope(scope.root, file, names, scope.depth + 1), key)
    except PipelineError as error:
        raise PipelineError(f"{path}: {error}") from None
    return expanded
