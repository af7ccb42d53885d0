"""Draw the report's charts as inline SVG, whose colours the page's style sheet inverts at night."""

from __future__ import annotations

import io
import re
import warnings
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, Final

import matplotlib as mpl
import numpy as np
from markupsafe import Markup, escape
from matplotlib.figure import Figure
from sklearn.calibration import CalibrationDisplay
from sklearn.metrics import (
    PrecisionRecallDisplay,
    RocCurveDisplay,
    precision_recall_curve,
    roc_curve,
)

from mlops.config import Gate
from mlops.evaluation.metrics import Predictions, calibration_bins
from mlops.results import Gain, Label, Metrics

if TYPE_CHECKING:
    from matplotlib.axes import Axes
    from numpy.typing import NDArray

    Array = NDArray[np.float64]
    Points = tuple[Array, Array]

# The colours of Okabe and Ito (2008), which colour-blind readers can tell apart.
CHALLENGER: Final = "#0072b2"
CHAMPION: Final = "#c04f00"
MUTED: Final = "#6e777f"
CLASSES: Final = ("#009e73", "#cc79a7", "#e69f00", "#56b4e9", "#7d5ba6")
STYLES: Final[Mapping[str, Any]] = {
    "challenger": {"color": CHALLENGER, "alpha": 1, "ls": "-", "lw": 2, "zorder": 3},
    "champion": {"color": CHAMPION, "alpha": 1, "ls": "--", "lw": 2},
}
DASHES: Final = ("-", "--", "-.", ":", (0, (5, 1, 1, 1, 1, 1)))
CHANCE: Final[Mapping[str, Any]] = {"color": MUTED, "lw": 0.8, "ls": ":", "label": "chance"}
SETTINGS: Final[Any] = {
    "axes.edgecolor": MUTED,
    "axes.grid": True,
    "axes.spines.right": False,
    "axes.spines.top": False,
    "figure.constrained_layout.use": True,
    "font.size": 9.0,
    "grid.color": "#dfe3e6",
    "legend.frameon": False,
    "svg.fonttype": "none",
    "text.parse_math": False,
}

POINTS = 200  # in a curve, however many rows there are
LONGEST_LABEL = 22


@dataclass(frozen=True)
class Chart:
    """One picture of the report; ``text``, its caption, says in words what it shows."""

    name: str
    title: str
    text: str
    svg: Markup


def draw_charts(
    models: Mapping[str, Predictions],
    metrics: Mapping[str, Metrics],
    classes: Sequence[Label],
    gain: Gain | None,
    gate: Gate,
) -> dict[str, Chart]:
    """Return all charts by their names; "gain" only where there is one.

    Parameters
    ----------
    models, metrics : mapping
        Of "challenger", and "champion" if it was scored.
    """
    with mpl.rc_context(SETTINGS):
        charts = [
            ranking_chart("roc_auc", models, metrics, classes),
            ranking_chart("average_precision", models, metrics, classes),
            calibration_chart(models),
        ]
        if gain is not None:
            charts.append(gain_chart(gain, gate))
    return {chart.name: chart for chart in charts}


def ranking_chart(
    metric: str,
    models: Mapping[str, Predictions],
    metrics: Mapping[str, Metrics],
    classes: Sequence[Label],
) -> Chart:
    """Draw the ROC or precision-recall curves of challenger and champion."""
    challenger = models["challenger"]
    several = challenger.positive is None
    x, y, names, styles = _curves(metric, models, metrics, classes)
    figure, axes = _square()
    if metric == "roc_auc":
        name, title, what = "roc", "ROC curve", "Area under the curve"
        RocCurveDisplay(fpr=x, tpr=y, name=names).plot(
            ax=axes, curve_kwargs=styles, plot_chance_level=True, chance_level_kw=CHANCE
        )
    else:
        name, title, what = "precision-recall", "Precision and recall", "Average precision"
        if not several:
            axes.axhline(np.mean(challenger.truth == challenger.positive), **CHANCE)
        PrecisionRecallDisplay(precision=y, recall=x, name=names).plot(ax=axes, curve_kwargs=styles)
    axes.set(ylim=(-0.01, 1.03), aspect="auto")
    over = f", mean over {len(classes)} classes" if several else ""
    return _chart(figure, name, title, f"{what}{over}: {', '.join(names[-len(models) :])}.")


def calibration_chart(models: Mapping[str, Predictions]) -> Chart:
    """Draw observed fraction over predicted probability, in the bins of the calibration error."""
    figure, axes = _square()
    several = models["challenger"].positive is None
    axes.plot([0, 1], [0, 1], **{**CHANCE, "label": "perfectly calibrated"})
    gaps = []
    for name, predictions in models.items():
        predicted, observed, _ = map(np.array, zip(*calibration_bins(predictions), strict=True))
        CalibrationDisplay(observed, predicted, None, estimator_name=name).plot(
            ax=axes, ref_line=False, marker="o", ms=4, **STYLES[name]
        )
        widest = np.argmax(np.abs(predicted - observed))
        gaps.append(f"{name} {predicted[widest]:.0%} predicted, {observed[widest]:.0%} observed")
    whose = "predicted class" if several else "positive class"
    axes.set(xlabel=f"Mean predicted probability of the {whose}", ylabel="Observed fraction")
    text = (
        "Rows sorted by their prediction, in ten groups; points on the line are perfectly "
        f"calibrated. Widest gap: {'; '.join(gaps)}."
    )
    return _chart(figure, "calibration", "Calibration", text)


def gain_chart(gain: Gain, gate: Gate) -> Chart:
    """Draw the gain, the middle 90 % of its bootstrap, and the margin."""
    figure = Figure(figsize=(6.4, 0.95))
    axes = figure.add_subplot()
    axes.spines["left"].set_visible(False)
    axes.axvline(gate.margin, color=CHAMPION, lw=1.4, ls="--")
    axes.plot([gain.low, gain.high], [0, 0], color=CHALLENGER, lw=4, solid_capstyle="butt")
    axes.plot(gain.value, 0, "o", color=CHALLENGER, ms=9)
    axes.set(ylim=(-1, 1), yticks=[], xlabel=f"Gain in {gate.metric}; dashed: the margin")
    axes.margins(x=0.1)
    text = (
        f"Gain {gain.value:+.4f}, 90 % of the resamples between {gain.low:+.4f} and "
        f"{gain.high:+.4f}; margin {gate.margin:.4f}."
    )
    return _chart(figure, "gain", "Gain over the champion", text)


def thin(x: Array, y: Array) -> Points:
    """Keep at most `POINTS` points of a curve, evenly spaced along it, and both ends."""
    along = np.append(0.0, np.cumsum(np.abs(np.diff(x)) + np.abs(np.diff(y))))
    wanted = np.linspace(0, along[-1], POINTS)
    kept = np.unique(np.append(np.searchsorted(along, wanted[:-1]), len(x) - 1))
    return x[kept], y[kept]


def short(label: object) -> str:
    """Return a name from the data as one short line."""
    line = "".join(c if c.isprintable() else " " for c in str(label))
    return line if len(line) <= LONGEST_LABEL else f"{line[: LONGEST_LABEL - 1]}…"


def _curves(
    metric: str,
    models: Mapping[str, Predictions],
    metrics: Mapping[str, Metrics],
    classes: Sequence[Label],
) -> tuple[list[Array], list[Array], list[str], list[Mapping[str, Any]]]:
    """Return x, y, label and style of each curve.

    With more than two classes the bold curves are means over the classes, each against the rest;
    up to five classes of the challenger are drawn beside them.
    """
    challenger, points = models["challenger"], _roc if metric == "roc_auc" else _precision_recall
    curves: list[tuple[Points, str, Mapping[str, Any]]] = []
    if challenger.positive is None and len(classes) <= len(CLASSES):
        for label, name in enumerate(classes):
            style = {"color": CLASSES[label], "alpha": 1, "ls": DASHES[label], "lw": 1}
            curves.append((points(challenger, label), f"class {short(name)}", style))
    for name, predictions in models.items():
        value = metrics[name][metric]
        score = "undefined" if value is None else f"{value:.3f}"
        mean = _mean([points(predictions, label) for label in predictions.judged])
        curves.append((mean, f"{name} {score}", STYLES[name]))
    drawn, names, styles = zip(*curves, strict=True)
    x, y = zip(*drawn, strict=True)
    return [*x], [*y], [*names], [*styles]


def _roc(p: Predictions, label: int) -> Points:
    false, true, _ = roc_curve(p.truth == label, p.probabilities[:, label])
    return thin(false, true)


def _precision_recall(p: Predictions, label: int) -> Points:
    precision, recall, _ = precision_recall_curve(p.truth == label, p.probabilities[:, label])
    return thin(recall[::-1], precision[::-1])


def _mean(curves: Sequence[Points]) -> Points:
    if len(curves) == 1:
        return curves[0]
    grid = np.linspace(0, 1, POINTS)
    return grid, np.mean([np.interp(grid, x, y) for x, y in curves], axis=0)


def _square() -> tuple[Figure, Axes]:
    figure = Figure(figsize=(4.2, 3.6))
    return figure, figure.add_subplot(xlim=(-0.01, 1.01), ylim=(-0.01, 1.03))


def _chart(figure: Figure, name: str, title: str, text: str) -> Chart:
    """Return the same bytes each time, without sizes, dates or fixed colours."""
    legend = figure.axes[0].get_legend()
    if legend is not None and len(legend.get_texts()) > 3:  # it would cover the curves
        legend.remove()
        figure.set_figheight(3.6 + 0.2 * len(legend.get_texts()))
        figure.legend(loc="outside lower left")
    stream = io.StringIO()
    with warnings.catch_warnings(), mpl.rc_context({"svg.hashsalt": name}):
        warnings.simplefilter("ignore")  # the browser has glyphs that Matplotlib's font lacks
        figure.savefig(stream, format="svg", transparent=True, metadata={"Date": None})
    drawn = stream.getvalue()
    box = re.search(r'viewBox="[^"]*"', drawn)
    assert box is not None
    inner = drawn[drawn.index("</metadata>") + len("</metadata>") : drawn.rindex("</svg>")]
    inner = re.sub(r'<g id="[^"]*"', "<g", inner)
    svg = Markup(  # noqa: S704 - Matplotlib escapes its labels, `escape` the rest
        f'<svg {box.group()} role="img" aria-labelledby="{name}-title {name}-text">'
        f'<title id="{name}-title">{escape(title)}</title>'
        f'<desc id="{name}-text">{escape(text)}</desc>{inner}</svg>'
    )
    return Chart(name, title, text, svg)
