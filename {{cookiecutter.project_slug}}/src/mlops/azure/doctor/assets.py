"""Rules about environments, data, computes, endpoints and deployments."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

from mlops.azure.doctor.documents import Context, Document, Finding
from mlops.azure.doctor.fields import BATCH, FULL_IDS, KUBERNETES, QUANTITY, REFERENCE, undefined
from mlops.azure.doctor.uploads import is_uploaded, script_problem

UNITS = {"m": 1e-3, None: 1, "k": 1e3, "M": 1e6, "G": 1e9, "T": 1e12}
UNITS |= {"Ki": 2.0**10, "Mi": 2.0**20, "Gi": 2.0**30, "Ti": 2.0**40}


def check_environment(document: Document, context: Context) -> Iterator[Finding]:
    """Check that the files that the image is built from are uploaded."""
    folder = document.local(str(document.get("build", "path", default=".")))
    if not document.get("build") or not folder.is_dir():
        return
    field = ("build", "dockerfile_path")
    recipe = str(document.get(*field, default="Dockerfile"))
    fix = "Check the path and .amlignore."
    if not is_uploaded(folder, recipe):
        message = f"{recipe} is not in the uploaded folder."
        yield document.finding("AZ009", field, message, fix)
        return
    for source in _copied(folder / recipe):
        if not is_uploaded(folder, source):
            message = f"{recipe} copies {source}, which is not in the uploaded folder."
            yield document.finding("AZ009", field, message, fix)


def _copied(recipe: Path) -> list[str]:
    """Return the paths that a Dockerfile copies from its context."""
    lines = recipe.read_text(encoding="utf-8").replace("\\\n", " ").splitlines()
    copies = [line.split()[1:-1] for line in lines if line.split()[:1] == ["COPY"]]
    return [word for words in copies for word in words if not word.startswith("--")]


def check_data(document: Document, context: Context) -> Iterator[Finding]:
    """Check that a local path is of the asset's type."""
    path, kind = str(document.get("path", default="")), document.get("type")
    if not path or kind not in ("uri_file", "uri_folder") or not document.local(path).exists():
        return
    found = "uri_folder" if document.local(path).is_dir() else "uri_file"
    if kind != found:
        message = f"{path} is a {found.removeprefix('uri_')}, but type is {kind}."
        yield document.finding("AZ040", ("type",), message, f"Use type: {found}.")


def check_compute(document: Document, context: Context) -> Iterator[Finding]:
    """Check that a cluster's limits agree."""
    low, high = document.get("min_instances", default=0), document.get("max_instances", default=1)
    if isinstance(low, int) and isinstance(high, int) and 0 < high < low:
        message = f"min_instances is {low}, more than max_instances, {high}."
        yield document.finding("AZ007", ("min_instances",), message, "Lower min_instances.")


def check_endpoint(document: Document, context: Context) -> Iterator[Finding]:
    """Check an endpoint's traffic and authentication."""
    for key, most in (("traffic", 100), ("mirror_traffic", 50)):
        shares = document.section(key)
        valid = all(isinstance(share, int) and 0 <= share <= most for share in shares.values())
        total = sum(share for share in shares.values() if isinstance(share, int))
        if shares and (not valid or total > most or (key == "traffic" and total not in (0, 100))):
            message = f"{key} is {', '.join(map(str, shares.values()))}: {total} % in total."
            limit = "100" if key == "traffic" else "at most 50"
            fix = f"Use percentages that sum to {limit}."
            yield document.finding("AZ042", (key,), message, fix)
    wanted = "aml_token" if document.kind == "kubernetesOnlineEndpoint" else "aad_token"
    found = document.get("auth_mode", default="missing")
    if found != wanted:
        message = f"auth_mode is {found}; this endpoint uses {wanted}, never keys."
        yield document.finding("AZ043", ("auth_mode",), message, f"Use auth_mode: {wanted}.")


def check_deployment(document: Document, context: Context) -> Iterator[Finding]:
    """Check a deployment's model, script and endpoint."""
    yield from _check_model(document)
    if problem := script_problem(document):
        yield problem
    online = ("managedOnlineEndpoint", "kubernetesOnlineEndpoint")
    names = context.names(*(("batchEndpoint",) if document.kind == BATCH else online))
    for path, endpoint in document.match("endpoint_name"):
        if endpoint not in names:
            yield undefined(document, path, endpoint, names)
    if document.kind == KUBERNETES:
        yield from _check_requests(document)


def _check_model(document: Document) -> Iterator[Finding]:
    model, fix = document.get("model"), "Use azureml:NAME:VERSION."
    if str(model).startswith("azureml:") and not str(model).startswith(FULL_IDS):
        found = REFERENCE.fullmatch(str(model))
        if not found or not found[3]:
            message = f"{model} is not one exact version of a model."
            yield document.finding("AZ014", ("model",), message, fix)


def _check_requests(document: Document) -> Iterator[Finding]:
    """Check that a container does not request more than its limits."""
    for resource in ("cpu", "memory"):
        amounts = []
        for part in ("requests", "limits"):
            value = QUANTITY.fullmatch(str(document.get("resources", part, resource)))
            amounts += [float(value[1]) * UNITS[value[2]]] if value else []
        if len(amounts) == 2 and amounts[0] > amounts[1]:
            message = f"The container requests more {resource} than its limit."
            path = ("resources", "requests", resource)
            yield document.finding("AZ007", path, message, "Raise the limit or lower the request.")
