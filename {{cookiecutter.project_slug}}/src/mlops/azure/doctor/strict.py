"""Azure ML's own validation of a file, with its warnings taken as errors."""

from __future__ import annotations

import contextlib
import inspect
import logging
import re
import warnings
from collections.abc import Callable, Iterator
from typing import Any

from mlops.azure.doctor.documents import Document, Finding, Place


def loader(kind: str) -> Callable[..., Any] | None:
    """What loads files of a kind; None if Azure ML has no such kind."""
    import azure.ai.ml as sdk
    from azure.ai.ml.entities import _load_functions as functions

    loaders: dict[str, Callable[..., Any]] = {
        "amlCompute": sdk.load_compute,
        "batchEndpoint": sdk.load_batch_endpoint,
        "commandComponent": sdk.load_component,
        "data": sdk.load_data,
        "environment": sdk.load_environment,
        "kubernetesCompute": sdk.load_compute,
        "kubernetesOnlineDeployment": sdk.load_online_deployment,
        "kubernetesOnlineEndpoint": sdk.load_online_endpoint,
        "managedOnlineDeployment": sdk.load_online_deployment,
        "managedOnlineEndpoint": sdk.load_online_endpoint,
        "modelBatchDeployment": functions.load_model_batch_deployment,
        "monitorSchedule": functions.load_schedule,
        "pipelineJob": sdk.load_job,
        "schedule": functions.load_schedule,
    }
    return loaders.get(kind)


def validate_strictly(document: Document) -> list[Finding]:
    """What Azure ML's SDK says of a file, without contacting Azure."""
    load = loader(document.kind)
    if load is None:
        return []
    with _quiet():
        try:
            return list(_problems(document, load(document.path)))
        except Exception as error:  # it raises many kinds, of which none is a bug of ours
            # For a monitor, it then fails to say what is wrong: the reason is the error before.
            hidden = isinstance(error, NotImplementedError) and error.__context__
            text = str(hidden or error)
            return [document.wrong(_place(document, text), _words(text))]


def _problems(document: Document, entity: Any) -> Iterator[Finding]:
    if hasattr(entity, "_validate") and document.kind != "monitorSchedule":
        result = entity._validate()
        if result is not None:
            for problem in (*result._errors, *result._warnings):
                place: Place = tuple(str(problem.yaml_path).split("."))
                yield document.wrong(place, f"{problem.yaml_path}: {problem.message}")
    for method in ("_to_rest_object", "_to_rest_online_endpoint", "_to_rest_batch_endpoint"):
        if hasattr(entity, method):
            _convert(getattr(entity, method))


def _convert(method: Callable[..., Any]) -> None:
    """To what is sent to Azure, which finds some mistakes that loading does not."""
    wanted = inspect.signature(method).parameters
    method(location="westeurope") if "location" in wanted else method()


def _place(document: Document, message: str) -> Place:
    """The place of the field that is named first in an error's words."""
    named = re.findall(r"[\w$]+", message)
    for word in named:
        for place in document.lines:
            if place[-1] == word:
                return place
    return ()


def _words(message: str) -> str:
    """An error of the SDK without its JSON and its advice."""
    text = message.split("The easiest way to author")[0]
    text = re.sub(r"(Validation for \w+ failed:)|[{}\[\]\"\\]|Error: ", " ", text)
    return "Azure ML refuses it: " + " ".join(text.split())[:600]


@contextlib.contextmanager
def _quiet() -> Iterator[None]:
    """Without the SDK's remarks on what it calls experimental."""
    level = logging.root.manager.disable
    logging.disable(logging.CRITICAL)
    try:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")
            yield
    finally:
        logging.disable(level)
