"""What the verbs show in the terminal as tables."""

from __future__ import annotations

import sys
from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING

from rich.console import Console
from rich.markup import escape
from rich.table import Table

if TYPE_CHECKING:
    from mlops.data.validation import Validation
    from mlops.model.registry import Version
    from mlops.release.target import EndpointState
    from mlops.results import Evaluation


def show_breaches(validation: Validation) -> None:
    """The expectations that the data breaks, where, how often, with examples."""
    table = _table("column", "expected", "found", "rows", "values")
    for breach in validation.breaches:
        table.add_row(
            *map(escape, (breach.column or "(table)", breach.rule, breach.found)),
            ", ".join(map(str, breach.rows)),
            escape(", ".join(breach.values)),
        )
    _show(table)


def show_evaluation(evaluation: Evaluation, metric: str) -> None:
    """Show challenger beside champion, how many thresholds passed, and the gate's reasons."""
    champion = evaluation.champion_metrics or {}
    shown = f"champion (version {evaluation.champion})" if evaluation.champion else "no champion"
    table = _table("metric", "challenger", shown)
    for name, value in evaluation.metrics.items():
        row = [_number(value), _number(champion.get(name))]
        table.add_row(f"{name} *" if name == metric else name, *row)
    _show(table)
    results = evaluation.decision.thresholds
    passed = sum(result.passed for result in results)
    summary = f"{passed} of {len(results)} thresholds passed, {evaluation.rows:,} rows."
    print(f"* the gate's metric; {summary}")
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


def _number(value: float | None) -> str:
    return "-" if value is None else f"{value:.4f}"


def _table(*columns: str) -> Table:
    table = Table(box=None, pad_edge=False, header_style="bold")
    for column in columns:
        table.add_column(column, overflow="fold")
    return table


def _show(table: Table) -> None:
    """Print as wide as the terminal; in a file or a CI log, wide enough for whole lines."""
    Console(file=sys.stdout, width=None if sys.stdout.isatty() else 160).print(table)
