"""Hands what an endpoint is asked and what it answers to Azure ML's data collector.

azureml/monitoring.yml compares what is collected.
"""

from __future__ import annotations

import logging
import os
from collections.abc import Callable, Mapping, Sequence
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    import pandas as pd

Watch = Callable[["pd.DataFrame", Sequence[Mapping[str, Any]]], None]

# One of them is set by Azure ML where the deployment has a data_collector.
SWITCHES = ("AZUREML_MDC_CONFIG_PATH", "AZUREML_MDC_ENABLED")


def watcher() -> Watch:
    """What to call with the rows and the predictions of each request; it never fails one."""
    if not any(switch in os.environ for switch in SWITCHES):
        return lambda rows, predictions: None
    import pandas as pd
    from azureml.ai.monitoring import Collector

    inputs = Collector(name="model_inputs", on_error=_tell)
    outputs = Collector(name="model_outputs", on_error=_tell)

    def watch(rows: pd.DataFrame, predictions: Sequence[Mapping[str, Any]]) -> None:
        answers = [{"label": p["label"], **p["probabilities"]} for p in predictions]
        request = inputs.collect(rows)
        outputs.collect(pd.DataFrame(answers), request)

    return watch


def _tell(error: Exception) -> None:
    logging.getLogger(__name__).warning("Not collected: %s", error)
