"""Registers a challenger that the gate accepted, and nothing else."""

from __future__ import annotations

from pathlib import Path
from typing import Any

from mlops.config import Project
from mlops.errors import ConfigError, Refused
from mlops.model.registry import Registry, Version
from mlops.outputs import write_json


def register(
    decision: dict[str, Any], training: dict[str, Any], project: Project, folder: Path
) -> Version:
    """Register the run that ``decision`` accepts; the same run twice is registered once.

    Writes registration.json into ``folder``.

    Parameters
    ----------
    decision, training : dict
        The content of decision.json and training.json.

    Raises
    ------
    ConfigError
        The decision is about another run than the one trained last.
    Refused
        The gate did not accept it.
    """
    if decision["run_id"] != training["run_id"]:
        raise ConfigError("The decision is about an earlier model.", "Run `mlops evaluate`.")
    verdict = decision["decision"]
    reasons = verdict["reasons"]
    if not verdict["accepted"]:
        raise Refused("Not registered: " + " ".join(reason["text"] for reason in reasons))
    metrics = {f"holdout.{k}": f"{v:.6f}" for k, v in decision["metrics"].items() if v is not None}
    tags = {
        "mlops.model_digest": training["model_digest"],
        "mlops.data_digest": training["data_digest"],
        "mlops.evaluation": ", ".join(reason["code"] for reason in reasons),
        **metrics,
    }
    version = Registry(project).register(training["run_id"], tags)
    write_json(
        folder / "registration.json",
        {"name": version.name, "version": version.number, "run_id": version.run_id},
    )
    return version
