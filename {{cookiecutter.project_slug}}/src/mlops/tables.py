"""What the verbs show in the terminal as tables."""

from __future__ import annotations

import sys
from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING

from rich.console import Console
from rich.markup import escape
from rich.table import Table

if TYPE_CHECKING:
    from mlops.evaluation.evaluate import Evaluation
    from mlops.model.registry import Version
    from mlops.release.target import EndpointState
    from mlops.results import Validation


def show_failed(validation: Validation) -> None:
    """Print the failed expectations: where, how often, with examples."""
    table = _table("column", "expected", "observed", "rows", "values")
    for result in validation.failed:
        table.add_row(
            *map(escape, (result.column or "(table)", result.rule, result.observed)),
            ", ".join(map(str, result.rows)),
            escape(", ".join(result.values)),
        )
    _show(table)


def show_evaluation(evaluation: Evaluation, metric: str) -> None:
    """Challenger beside champion, the gate's checks that failed, and its reasons."""
    champion = evaluation.champion_metrics or {}
    shown = f"champion (version {evaluation.champion})" if evaluation.champion else "no champion"
    table = _table("metric", "challenger", shown)
    for name, value in evaluation.metrics.items():
        other = f"{champion[name]:.4f}" if name in champion else "-"
        table.add_row(f"{name} *" if name == metric else name, f"{value:.4f}", other)
    _show(table)
    checks = evaluation.decision.checks
    met = sum(check.passed for check in checks)
    print(f"* the gate's metric; {met} of {len(checks)} thresholds met, {evaluation.rows:,} rows.")
    verdict = "accepted" if evaluation.decision.accepted else "REFUSED"
    for reason in evaluation.decision.reasons:
        print(f"Gate: {verdict} ({reason.code}): {reason.text}")


def show_status(
    versions: Sequence[Version],
    states: Mapping[str, EndpointState],
    addresses: Mapping[str, str],
) -> None:
    """The registered versions with their stage, and each environment's slots."""
    table = _table("version", "stage", "decision", "average precision")
    for version in versions:
        tags = version.tags
        score = tags.get("holdout.average_precision", "-")
        table.add_row(str(version.number), version.stage, tags.get("mlops.evaluation", ""), score)
    _show(table)
    table = _table("environment", "slot", "version", "traffic", "health", "address")
    for name, state in states.items():
        for slot, kept in state.slots.items():
            health = "answers" if kept.healthy else "DOWN"
            share = f"{state.traffic.get(slot, 0)} %"
            table.add_row(name, slot, str(kept.version), share, health, addresses[name])
        if not state.slots:
            table.add_row(name, "-", "-", "-", "nothing deployed", "-")
    _show(table)


def _table(*columns: str) -> Table:
    table = Table(box=None, pad_edge=False, header_style="bold")
    for column in columns:
        table.add_column(column, overflow="fold")
    return table


def _show(table: Table) -> None:
    """Print as wide as the terminal; in a file or a CI log, wide enough for whole lines."""
    Console(file=sys.stdout, width=None if sys.stdout.isatty() else 160).print(table)
