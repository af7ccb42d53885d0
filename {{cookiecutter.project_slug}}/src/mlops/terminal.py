"""What the verbs print: results as sentences and tables."""

from __future__ import annotations

import csv
import json
import sys
from collections.abc import Callable, Mapping, Sequence
from dataclasses import asdict, fields
from pathlib import Path
from typing import TYPE_CHECKING, Final, Literal

import click
from rich.console import Console
from rich.markup import escape
from rich.table import Table

from mlops.errors import MlopsError, safe
from mlops.lifecycle import Deployment, Progress
from mlops.model import tags
from mlops.model.history import History, Period
from mlops.results import Decision, Evaluation, Reason, Registration, Scored, Training, Validation

if TYPE_CHECKING:
    from mlops.azure.infrastructure import Planned
    from mlops.config import Environment
    from mlops.model.registry import Version
    from mlops.release.target import Target

SHOWN_SHIFTS: Final = 5


Form = Literal["table", "csv", "json"]


class Steps(Progress):
    """Prints steps as headings, numbered if their count is given."""

    def __init__(self, count: int = 0) -> None:
        self._count = count
        self._number = 0

    def step(self, name: str) -> None:
        self._number += 1
        title = f"[{self._number}/{self._count}] {name}" if self._count else name.capitalize()
        click.secho(title, bold=True)

    def tell(self, text: str) -> None:
        tell(text)

    def show(self, result: object) -> None:
        show(result)


def say(text: str) -> None:
    """Print a line that may contain text from the data."""
    click.echo(safe(text))


def cell(text: str) -> str:
    """Return text from the data for a cell of a table."""
    return escape(safe(text))


def tell(text: str) -> None:
    """Print a sentence about what happens within a step."""
    say(f"  {text}")


def show(result: object) -> None:
    """Print the result of a step."""
    match result:
        case Validation():
            show_validation(result)
        case Training():
            threshold = result.threshold
            chosen = "" if threshold is None else f", decision threshold {threshold:.3f}"
            say(f"Trained on {result.rows:,} rows{chosen}.")
        case Evaluation():
            show_evaluation(result)
        case Registration():
            say(f"Registered as {result.name} version {result.version}.")
        case None:
            say("Not registered.")
        case Path():
            say(f"Report: {result}")
        case Deployment():
            where = f"{result.environment}: {result.address}"
            say(f"Version {result.version} is in {where}")
        case Scored():
            bad = f", {result.problems:,} with problems" if result.problems else ""
            say(f"{result.file}: {result.rows:,} rows{bad}.")
        case _:
            say(str(result))


def show_validation(validation: Validation) -> None:
    """Print the expectations that failed."""
    if validation.passed:
        say(f"All {len(validation.expectations)} expectations are met.")
        return
    table = _table("column", "expected", "found", "rows", "values")
    for result in validation.failed:
        table.add_row(
            *map(cell, (result.column or "(table)", result.rule, result.observed)),
            ", ".join(map(str, result.rows)),
            cell(", ".join(result.values)),
        )
    _print(table)


def show_evaluation(evaluation: Evaluation) -> None:
    """Print the metrics of challenger and champion, and the gate's verdict."""
    champion = evaluation.champion_metrics or {}
    title = f"champion (version {evaluation.champion})" if evaluation.champion else "no champion"
    table = _table("metric", "challenger", title)
    for name, value in evaluation.metrics.items():
        mark = f"{name} *" if name == evaluation.gate_metric else name
        table.add_row(mark, _number(value), _number(champion.get(name)))
    _print(table)
    thresholds = evaluation.decision.thresholds
    met = sum(threshold.passed for threshold in thresholds)
    say(
        f"* the gate's metric; {met} of {len(thresholds)} thresholds met on {evaluation.rows:,} "
        f"holdout rows ({_looks(evaluation.looks)})."
    )
    notable = [shift for shift in evaluation.shifts if shift.notable]
    if notable:
        moved = _table("column", "distance", "since the champion's training")
        for shift in notable[:SHOWN_SHIFTS]:
            moved.add_row(cell(shift.column), f"{shift.distance:.2f}", cell(shift.moved))
        _print(moved)
    show_reasons(evaluation.decision)
    show_caveats(evaluation)


def show_caveats(evaluation: Evaluation) -> None:
    """Print what the gate can see, and what to know before trusting its decision."""
    if evaluation.power:
        say(evaluation.power)
    show_notes(evaluation.notes)


def show_notes(notes: Sequence[Reason]) -> None:
    """Print what to know about a result, a line for each note."""
    for note in notes:
        say(f"Note ({note.code}): {note.text}")


def show_reasons(decision: Decision) -> None:
    """Print the gate's verdict, a line for each reason."""
    verdict = "accepted" if decision.accepted else "REFUSED"
    for reason in decision.reasons:
        say(f"Gate: {verdict} ({reason.code}): {reason.text}")


def show_planned(planned: Planned) -> None:
    """Print what a plan of the infrastructure changes, a line for each resource."""
    changes = _table("resource", "action")
    for change in planned.changes:
        changes.add_row(cell(change.address), change.action)
    if planned.changes:
        _print(changes)
    say(planned.headline)


def show_status(
    versions: Sequence[Version], targets: Mapping[Environment, Callable[[], Target]]
) -> None:
    """Print the registered versions with their stage, and each environment's slots.

    Raises
    ------
    MlopsError
        An environment could not be read; the other was printed.
    """
    registered = _table("version", "stage", "decision", "average precision")
    for version in versions:
        score = version.tags.get("holdout.average_precision", "-")
        decision = version.tags.get(tags.DECISION, "")
        registered.add_row(str(version.number), version.stage, decision, score)
    served = _table("environment", "slot", "version", "traffic", "health", "scored by", "address")
    unread: list[MlopsError] = []
    for name, open_target in targets.items():
        try:
            target = open_target()
            state, address = target.describe(), target.address
        except MlopsError as error:
            served.add_row(name, "-", "-", "-", "unknown", "-", "-")
            unread.append(error)
            continue
        for slot, kept in state.slots.items():
            health = "healthy" if kept.healthy else "DOWN"
            traffic = f"{state.traffic.get(slot, 0)} %"
            scoring = kept.scoring or "-"
            served.add_row(name, slot, str(kept.version), traffic, health, scoring, address)
        if not state.slots:
            served.add_row(name, "-", "-", "-", "nothing deployed", "-", "-")
    _print(registered)
    _print(served)
    if unread:
        raise unread[0]


def show_history(found: Mapping[Environment, History], form: Form) -> None:
    """Print the periods of all environments, as a table for people or as CSV or JSON."""
    periods = [period for kept in found.values() for period in kept.periods]
    if form == "json":
        content = {name: asdict(kept) for name, kept in found.items()}
        click.echo(json.dumps(content, indent=2, ensure_ascii=False))
        return
    if form == "csv":
        names = [field.name for field in fields(Period)]
        writer = csv.DictWriter(sys.stdout, names, lineterminator="\n")
        writer.writeheader()
        writer.writerows(map(asdict, periods))
        return
    table = _table(
        *("environment", "from", "to", "version", "event", "approved by", "ended by"),
        *("decision", "data"),
    )
    for p in periods:
        words = (p.environment, p.since, p.until or "now", str(p.version), p.event, p.by)
        table.add_row(*map(cell, (*words, p.ended_by or "-", p.decision, p.data[:12])))
    _print(table)
    for number in [number for kept in found.values() for number in kept.unrecorded]:
        say(f"Version {number} was in production before the history was kept.")


def _looks(count: int) -> str:
    return "first look at them" if count == 1 else f"{count:,} models have been judged on them"


def _number(value: float | None) -> str:
    return "-" if value is None else f"{value:.4f}"


def _table(*columns: str) -> Table:
    table = Table(box=None, pad_edge=False, header_style="bold")
    for column in columns:
        table.add_column(column, overflow="fold")
    return table


def _print(table: Table) -> None:
    """Print as wide as the terminal; in a file or a CI log, wide enough for whole lines."""
    Console(file=sys.stdout, width=None if sys.stdout.isatty() else 160).print(table)
