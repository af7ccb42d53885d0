"""Azure ML's own validation of a file, with its warnings taken as errors."""

from __future__ import annotations

import contextlib
import inspect
import logging
import re
import warnings
from collections.abc import Collection, Iterator
from typing import Any

import yaml

from mlops.azure.doctor.documents import Document, FieldPath, Finding

Refusal = tuple[FieldPath, str]  # a field, () if unknown, and the SDK's words

# kind: the SDK's function that loads its files.
LOADERS = {
    "amlCompute": "load_compute",
    "batchEndpoint": "load_batch_endpoint",
    "commandComponent": "load_component",
    "data": "load_data",
    "environment": "load_environment",
    "kubernetesCompute": "load_compute",
    "kubernetesOnlineDeployment": "load_online_deployment",
    "kubernetesOnlineEndpoint": "load_online_endpoint",
    "managedOnlineDeployment": "load_online_deployment",
    "managedOnlineEndpoint": "load_online_endpoint",
    "monitorSchedule": "load_schedule",
    "pipelineComponent": "load_component",
    "pipelineComponentBatchDeployment": "load_pipeline_component_batch_deployment",
    "pipelineJob": "load_job",
    "schedule": "load_schedule",
}


def validate_strictly(document: Document, reported: Collection[int] = ()) -> Iterator[Finding]:
    """Yield what the SDK rejects, without contacting Azure.

    On the ``reported`` lines, our rules found errors in clearer words: they are not repeated,
    nor is a rejection for which the SDK names no field.
    """
    for path, message in _refusals(document):
        if path or not reported:
            name = path[-1] if path else "the file"
            text = f"Azure ML rejects {name}: {' '.join(message.split())[:300].rstrip('.')}."
            finding = document.finding("AZ004", path or _guess(document, message), text)
            if finding.line not in reported:
                yield finding


def _refusals(document: Document) -> list[Refusal]:
    from azure.ai.ml.entities import _load_functions

    if document.kind not in LOADERS:
        return []
    load = getattr(_load_functions, LOADERS[document.kind])
    with warnings.catch_warnings(action="ignore"), contextlib.ExitStack() as stack:
        stack.callback(logging.disable, logging.root.manager.disable)
        logging.disable()  # remarks about experimental features
        try:
            return list(_validate(load(document.path), document.kind))
        except Exception as error:  # the SDK raises many types, none of them a bug of ours
            # For a monitor, the SDK fails to report what is wrong: the previous error says it.
            hidden = isinstance(error, NotImplementedError) and error.__context__
            return _parse(str(hidden or error))


def _validate(entity: Any, kind: str) -> Iterator[Refusal]:
    if hasattr(entity, "_validate") and kind != "monitorSchedule":
        result = entity._validate()
        for problem in (*result._errors, *result._warnings) if result is not None else ():
            yield _path(problem.yaml_path), problem.message
    # Converting to what is sent to Azure finds mistakes that loading does not.
    for name in ("_to_rest_object", "_to_rest_online_endpoint", "_to_rest_batch_endpoint"):
        if method := getattr(entity, name, None):
            wants_location = "location" in inspect.signature(method).parameters
            method(location="westeurope") if wants_location else method()


def _parse(text: str) -> list[Refusal]:
    """Read an error of the SDK: words, or words around a JSON object."""
    found = re.search(r"\{.*\}", text, re.S)
    try:
        content = yaml.safe_load(found[0]) if found else None  # JSON, or a dict's repr
    except yaml.YAMLError:
        content = None
    if not isinstance(content, dict):
        details = re.search(r"\(x\) (.*?)\x1b", text)
        return [((), details[1] if details else text)]
    if "errors" not in content:
        return _leaves(content, ())
    return [
        (path or _path(error["path"]), words)
        for error in content["errors"]
        for path, words in _parse(str(error["message"]))
    ]


def _path(dotted: str | None) -> FieldPath:
    return tuple(dotted.split(".")) if dotted and dotted != "*" else ()


def _leaves(node: Any, path: FieldPath) -> list[Refusal]:
    """Return the messages in a nested error, with the field of each."""
    if isinstance(node, dict):
        inner = (
            (() if key in ("_schema", "value") else (key,), value) for key, value in node.items()
        )
        return [leaf for key, value in inner for leaf in _leaves(value, (*path, *key))]
    if isinstance(node, list) and node and all(isinstance(item, dict) for item in node):
        # One item for each type that the field may have: the nearest has the fewest errors.
        return min((_leaves(item, path) for item in node), key=len)
    return [(path, str(words)) for words in (node if isinstance(node, list) else [node])]


def _guess(document: Document, message: str) -> FieldPath:
    """Return the field that a message mentions first; () if it mentions none."""
    for word in re.findall(r"[\w$]+", message.lower()):
        for path in document.lines:
            if path[-1] == word:
                return path
    return ()
