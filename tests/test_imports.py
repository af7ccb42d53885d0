"""The imports of a rendered project's src/mlops: they point down the layers, and form no circle."""

import ast
from collections.abc import Iterator
from graphlib import CycleError, TopologicalSorter
from pathlib import Path

import post_gen_project as hook
from rendering import ROOT

SOURCE = ROOT / "{{cookiecutter.project_slug}}" / "src"
# From what people call to what everything stands on: a module imports from its own line and from those below.
LAYERS = (
    ("cli", "__main__"),
    ("terminal",),
    ("readiness",),
    ("connect",),
    ("ci",),
    ("lifecycle",),
    ("azure",),
    ("release",),
    ("serving",),
    ("evaluation",),
    ("model",),
    ("data",),
    ("science",),
    ("results",),
    ("outputs", "lock"),
    ("config",),
    ("naming", "errors", "waiting"),
)
LAYER = {name: number for number, names in enumerate(LAYERS) for name in names}


def modules() -> dict[str, Path]:
    """Return the files of src/mlops by the names of their modules."""
    return {
        ".".join(file.relative_to(SOURCE).with_suffix("").parts).removesuffix(".__init__"): file
        for file in sorted((SOURCE / "mlops").rglob("*.py"))
    }


def imports(module: str, for_types: bool) -> set[str]:
    """Return the modules of mlops that a module imports at any place: under TYPE_CHECKING, or everywhere else."""
    known = modules()
    found: set[str] = set()
    for node in nodes(ast.parse(known[module].read_text(encoding="utf-8")), for_types):
        if isinstance(node, ast.Import):
            found |= {alias.name for alias in node.names}
        elif isinstance(node, ast.ImportFrom):
            assert node.level == 0, f"{module} has a relative import"
            inside = {f"{node.module}.{alias.name}" for alias in node.names}
            found |= (inside & known.keys()) or {str(node.module)}
    return found & known.keys()


def nodes(tree: ast.AST, for_types: bool, inside: bool = False) -> Iterator[ast.AST]:
    """Walk through the nodes of a module that are under TYPE_CHECKING, or through all others."""
    for child in ast.iter_child_nodes(tree):
        under = inside or (isinstance(child, ast.If) and "TYPE_CHECKING" in ast.unparse(child.test))
        if under == for_types:
            yield child
        yield from nodes(child, for_types, under)


def layer(module: str) -> int:
    """Return the number of a module's layer, counted from the top."""
    name = module.split(".")[1] if "." in module else "errors"  # mlops itself holds nothing
    assert name in LAYER, f"{module} has no layer yet: add {name} to LAYERS"
    return LAYER[name]


def test_no_import_points_upward() -> None:
    upward = [
        f"{module} imports {other}"
        for module in modules()
        for other in imports(module, for_types=False) | imports(module, for_types=True)
        if layer(other) < layer(module)
    ]
    assert not upward, "\n".join(upward)


def test_no_imports_form_a_circle() -> None:
    """Imports inside functions count; those for the type checker never happen."""
    try:
        TopologicalSorter({module: imports(module, for_types=False) for module in modules()}).prepare()
    except CycleError as error:
        raise AssertionError(" -> ".join(error.args[1])) from None


def test_no_module_needs_one_that_only_a_choice_keeps() -> None:
    names = {f"src/{file.relative_to(SOURCE).as_posix()}": module for module, file in modules().items()}
    for kept in (paths for choices in hook.KEPT_BY.values() for paths in choices.values()):
        optional = {names[path] for path in kept if path in names}
        always = modules().keys() - optional
        assert [module for module in always if imports(module, for_types=False) & optional] == []


def test_the_layers_name_only_what_is_there() -> None:
    assert set(LAYER) == {module.split(".")[1] for module in modules() if "." in module}
