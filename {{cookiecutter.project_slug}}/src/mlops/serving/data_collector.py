"""Send an endpoint's requests and responses to Azure ML's data collector.

azureml/monitoring.yml monitors what is collected.
"""

from __future__ import annotations

import logging
import os
from collections.abc import Callable, Mapping, Sequence
from typing import TYPE_CHECKING, Any, Final

if TYPE_CHECKING:
    import pandas as pd

Collect = Callable[["pd.DataFrame", Sequence[Mapping[str, Any]]], None]

# Azure ML sets one of them in a deployment with a data_collector.
SWITCHES: Final = ("AZUREML_MDC_CONFIG_PATH", "AZUREML_MDC_ENABLED")


def make_collector() -> Collect:
    """Return a function that collects a request's rows and predictions, and never fails it."""
    if not any(switch in os.environ for switch in SWITCHES):
        return lambda rows, predictions: None
    import pandas as pd
    from azureml.ai.monitoring import Collector

    inputs = Collector(name="model_inputs", on_error=_warn)
    outputs = Collector(name="model_outputs", on_error=_warn)

    def collect(rows: pd.DataFrame, predictions: Sequence[Mapping[str, Any]]) -> None:
        answers = [{"label": p["label"], **p["probabilities"]} for p in predictions]
        request = inputs.collect(rows)
        outputs.collect(pd.DataFrame(answers), request)

    return collect


def _warn(error: Exception) -> None:
    logging.getLogger(__name__).warning("Not collected: %s", error)
