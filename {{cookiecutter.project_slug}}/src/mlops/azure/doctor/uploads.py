"""Folders that are uploaded to Azure ML, and the scoring scripts in them."""

from __future__ import annotations

import ast
from pathlib import Path

from mlops.azure.doctor.documents import Document, Finding


def is_uploaded(folder: Path, path: str | Path) -> bool:
    """Return whether a file below ``folder`` exists and .amlignore does not exclude it."""
    from azure.ai.ml._utils._asset_utils import get_ignore_file

    file = folder / path
    return file.exists() and not get_ignore_file(folder).is_file_excluded(file)


def script_problem(document: Document) -> Finding | None:
    """Return why Azure ML cannot use a deployment's scoring script; None if it can."""
    folder = document.local(str(document.get("code_configuration", "code", default=".")))
    field = ("code_configuration", "scoring_script")
    script = str(document.get(*field, default=""))
    if not script or not folder.is_dir():
        return None
    if not is_uploaded(folder, script):
        message = f"{script} is not in the uploaded folder {folder.name}/."
        return document.finding("AZ009", field, message, "Check the path and .amlignore.")
    try:
        tree = ast.parse((folder / script).read_text(encoding="utf-8"))
    except SyntaxError as error:
        message = f"{script} is not valid Python: line {error.lineno}: {error.msg}."
        return document.finding("AZ041", field, message, "Correct the script.")
    defined = {node.name for node in tree.body if isinstance(node, ast.FunctionDef)}
    missing = [name for name in ("init", "run") if name not in defined]
    if missing:
        message = f"{script} does not define {' and '.join(missing)}."
        return document.finding("AZ041", field, message, "Define init() and run(data).")
    return None
