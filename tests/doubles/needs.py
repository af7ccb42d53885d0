"""What requests outside Resource Manager need: those to Azure ML's own services, in MicrosoftDocs' words for them.

Source: MicrosoftDocs/azure-ai-docs, articles/machine-learning/how-to-assign-roles.md (MLflow operations; submit a job),
concept-endpoints-online-auth.md (score/action), how-to-authenticate-batch-endpoint.md (invoke).
"""

from doubles.cloud import workspace_path
from doubles.roles import ML, Need
from doubles.web import Names, Request


def mlflow_needs(request: Request, names: Names) -> list[Need]:
    """Return what an MLflow call needs: on models, or on runs."""
    function = request.path.partition("/mlflow/")[2].rsplit("/api/2.0/mlflow/", 1)[-1]
    kind = "models" if function.startswith(("registered-models", "model-versions")) else "experiments/runs"
    reads = request.method == "GET" or function.endswith(("search", "get", "get-by-name"))
    deletes = function.endswith("delete") and "tag" not in function
    verb = "read" if reads else "delete" if deletes else "write"
    return [Need(f"{ML}/{kind}/{verb}", workspace_path(names))]


def artifact_needs(request: Request, names: Names) -> list[Need]:
    """Return what reading or creating artifacts needs."""
    verb = "read" if request.method == "GET" else "write"
    return [Need(f"{ML}/metadata/artifacts/{verb}", workspace_path(names))]


def history_needs(_: Request, names: Names) -> list[Need]:
    """Return what reading the run history needs."""
    return [Need(f"{ML}/experiments/runs/read", workspace_path(names))]


def invoke_batch_needs(workspace: str) -> list[Need]:
    """Return what starting a batch job needs; the data scientist's role alone denies the last."""
    actions = ("batchEndpoints/jobs/write", "data/versions/write", "datastores/listSecrets/action")
    return [Need(f"{ML}/{action}", workspace) for action in (*actions, "computes/listKeys/action")]
