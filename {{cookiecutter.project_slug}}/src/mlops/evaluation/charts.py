"""The charts of the report, as inline SVG that takes its colours from the page's style sheet."""

from __future__ import annotations

import io
import re
import warnings
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, Final, Literal

import matplotlib as mpl
import numpy as np
from markupsafe import Markup, escape
from matplotlib.figure import Figure
from matplotlib.patches import Rectangle
from sklearn.metrics import confusion_matrix, precision_recall_curve, roc_curve

from mlops.config import Gate
from mlops.evaluation.importance import Importance
from mlops.evaluation.metrics import Predictions, calibration_bins

if TYPE_CHECKING:
    from matplotlib.axes import Axes
    from numpy.typing import NDArray

# The colours of Okabe and Ito (2008), which colour-blind readers can tell apart.
CHALLENGER: Final = "#0072b2"
CHAMPION: Final = "#c04f00"
INK: Final = "#1c2024"
MUTED: Final = "#6e777f"
GRID: Final = "#dfe3e6"
PAPER: Final = "#fefefe"
CLASSES: Final = ("#009e73", "#cc79a7", "#e69f00", "#56b4e9", "#7d5ba6")
COLOURS: Final[Mapping[str, str]] = {
    CHALLENGER: "challenger",
    CHAMPION: "champion",
    INK: "ink",
    MUTED: "muted",
    GRID: "grid",
    PAPER: "paper",
    **{colour: f"class-{number}" for number, colour in enumerate(CLASSES, start=1)},
}
DASHES: Final = ("-", "--", "-.", ":", (0, (5, 1, 1, 1, 1, 1)))

POINTS = 200  # in a curve, however many rows there are
LARGEST_MATRIX = 12
SHOWN_IMPORTANCES = 15
LONGEST_LABEL = 22

SETTINGS: Final[Any] = {
    "axes.edgecolor": MUTED,
    "axes.grid": True,
    "axes.labelcolor": INK,
    "axes.spines.right": False,
    "axes.spines.top": False,
    "font.family": "DejaVu Sans",
    "font.size": 9.0,
    "grid.color": GRID,
    "legend.frameon": False,
    "legend.labelcolor": INK,
    "svg.fonttype": "none",
    "text.color": INK,
    "text.parse_math": False,
    "xtick.color": MUTED,
    "xtick.labelcolor": INK,
    "ytick.color": MUTED,
    "ytick.labelcolor": INK,
}

Curve = tuple["NDArray[np.float64]", "NDArray[np.float64]"]


@dataclass(frozen=True)
class Chart:
    """One picture of the report.

    Attributes
    ----------
    name, title : str
        For the page's anchors, and for people.
    text : str
        What there is to see, for those who cannot see it; also the caption.
    svg : Markup
        Safe to put into HTML: labels from the data are escaped in it.
    """

    name: str
    title: str
    text: str
    svg: Markup


@dataclass(frozen=True)
class Ranking:
    """A curve over all thresholds: how it is computed, and how it is drawn."""

    name: str
    title: str
    across: str
    up: str
    metric: str
    corner: Literal["lower left", "lower right"]
    curve: Callable[[NDArray[np.bool_], NDArray[np.float64]], Curve]


def _roc(truth: NDArray[np.bool_], scores: NDArray[np.float64]) -> Curve:
    false, true, _ = roc_curve(truth, scores)
    return false, true


def _precision_recall(truth: NDArray[np.bool_], scores: NDArray[np.float64]) -> Curve:
    precision, recall, _ = precision_recall_curve(truth, scores)
    return recall[::-1], precision[::-1]


ROC: Final = Ranking(
    "roc",
    "ROC curve",
    "false positive rate",
    "true positive rate",
    "roc_auc",
    "lower right",
    _roc,
)
PRECISION_RECALL: Final = Ranking(
    "precision-recall",
    "Precision and recall",
    "recall",
    "precision",
    "average_precision",
    "lower left",
    _precision_recall,
)


def draw_charts(
    models: dict[str, Predictions],
    scores: Mapping[str, Mapping[str, float | None]],
    classes: Sequence[Any],
    importances: Sequence[Importance],
    gain: Mapping[str, float] | None,
    gate: Gate,
) -> dict[str, Chart]:
    """All charts by their names; "gain" only where there is one.

    Parameters
    ----------
    models : dict of "challenger", and "champion" if it was scored, to their predictions
    scores : mapping of the same keys to their metrics, None where one is undefined
    classes : sequence of the classes' names
    """
    metric = gate.metric.replace("_", " ")
    with mpl.rc_context(SETTINGS):
        drawn = [
            ranking_chart(ROC, models, scores, classes),
            ranking_chart(PRECISION_RECALL, models, scores, classes),
            calibration_chart(models),
            confusion_chart(models["challenger"], classes),
            importance_chart(importances, metric),
        ]
        if gain is not None:
            drawn.append(gain_chart(gain, gate, metric))
    return {chart.name: chart for chart in drawn}


def ranking_chart(
    ranking: Ranking,
    models: dict[str, Predictions],
    scores: Mapping[str, Mapping[str, float | None]],
    classes: Sequence[Any],
) -> Chart:
    """Challenger and champion over all thresholds.

    With more than two classes the bold curves are means over the classes, each against the rest;
    up to five classes of the challenger are drawn beside them, more would be a tangle.
    """
    figure, axes = _square(ranking.across, ranking.up)
    challenger = models["challenger"]
    several = challenger.positive is None
    named = several and len(classes) <= len(CLASSES)
    if named:
        for label, name in enumerate(classes):
            x, y = thin(
                *ranking.curve(challenger.truth == label, challenger.probabilities[:, label])
            )
            axes.plot(
                x, y, color=CLASSES[label], ls=DASHES[label], lw=1, label=f"class {short(name)}"
            )
    if ranking is ROC:
        axes.plot([0, 1], [0, 1], color=MUTED, lw=0.8, ls=":")
    elif not several:
        chance = float(np.mean(challenger.truth == challenger.positive))
        axes.axhline(chance, color=MUTED, lw=0.8, ls=":")
    parts = []
    for name, predictions in reversed(models.items()):
        value = scores[name].get(ranking.metric)
        score = "undefined" if value is None else f"{value:.3f}"
        style: dict[str, Any] = _style(name)
        axes.plot(*_mean_curve(ranking, predictions), label=f"{name} {score}", **style)
        parts.append(f"{name} {score}")
    if several:
        figure.set_figheight(3.6 + 0.2 * (len(models) + named * len(classes)))
        figure.legend(loc="outside lower left")
    else:
        axes.legend(loc=ranking.corner)
    what = "Area under the curve" if ranking is ROC else "Average precision"
    over = f", mean over {len(classes)} classes" if several else ""
    text = f"{what}{over}: {', '.join(reversed(parts))}. The dotted line is chance."
    if several and ranking is PRECISION_RECALL:
        text = text.removesuffix(" The dotted line is chance.")
    return _chart(figure, ranking.name, ranking.title, text)


def calibration_chart(models: dict[str, Predictions]) -> Chart:
    """Predicted against observed share, in the ten bins of the calibration error."""
    several = models["challenger"].positive is None
    who = "predicted class" if several else "positive class"
    figure, axes = _square(f"predicted probability of the {who}", "observed share")
    axes.plot([0, 1], [0, 1], color=MUTED, lw=0.8, ls=":")
    text = "Rows sorted by their prediction, in ten groups; on the dotted line they keep its word."
    for name, predictions in reversed(models.items()):
        predicted, observed = _calibration(predictions)
        style = _style(name)
        axes.plot(predicted, observed, marker="o", ms=4, label=name, **style)
        if name == "challenger":
            gap = int(np.argmax(np.abs(predicted - observed)))
            text += (
                f" The challenger's widest gap: {predicted[gap]:.0%} predicted, "
                f"{observed[gap]:.0%} observed."
            )
    axes.legend(loc="upper left")
    return _chart(figure, "calibration", "Calibration", text)


def confusion_chart(challenger: Predictions, classes: Sequence[Any]) -> Chart:
    """The challenger's predicted classes against the true ones; rare classes merge into one."""
    counts, names = confusion(challenger, classes)
    shares = counts / np.maximum(counts.sum(axis=1, keepdims=True), 1)
    side = max(4.2, 0.5 * len(names) + 1.6)
    figure = Figure(figsize=(side, side * 0.86), layout="constrained")
    axes = figure.add_subplot()
    axes.grid(False)
    for (row, column), share in np.ndenumerate(shares):
        axes.add_patch(
            Rectangle(
                (column - 0.48, row - 0.48), 0.96, 0.96, fc=CHALLENGER, alpha=0.06 + 0.9 * share
            )
        )
        axes.text(
            column,
            row,
            f"{counts[row, column]:,}\n{share:.0%}" if share else "0",
            ha="center",
            va="center",
            color=PAPER if share > 0.5 else INK,
            fontsize=9 if len(names) < 7 else 7,
        )
    axes.set(xlim=(-0.5, len(names) - 0.5), ylim=(len(names) - 0.5, -0.5))
    labels = [short(name) for name in names]
    turned = 0 if sum(map(len, labels)) < 40 else 60
    axes.set_xticks(range(len(names)), labels, rotation=turned, ha="right" if turned else "center")
    axes.set_yticks(range(len(names)), labels)
    axes.set(xlabel="predicted class", ylabel="true class")
    axes.tick_params(length=0)
    for spine in axes.spines.values():
        spine.set_visible(False)
    right = float(np.mean(challenger.truth == challenger.labels))
    text = f"Rows, and their share of the true class. {right:.1%} of all rows are right."
    return _chart(figure, "confusion", "Confusion matrix of the challenger", text)


def confusion(p: Predictions, classes: Sequence[Any]) -> tuple[NDArray[np.int64], list[str]]:
    """Counts by true class (rows) and predicted class (columns), and the names of both.

    Beyond twelve classes the rarer ones are counted together, under the last name.
    """
    counts = np.asarray(confusion_matrix(p.truth, p.labels, labels=range(len(classes))))
    names = [str(name) for name in classes]
    if len(names) <= LARGEST_MATRIX:
        return counts, names
    common = np.sort(np.argsort(-counts.sum(axis=1), kind="stable")[: LARGEST_MATRIX - 1])
    places = np.full(len(names), LARGEST_MATRIX - 1)
    places[common] = np.arange(LARGEST_MATRIX - 1)
    merged = np.zeros((LARGEST_MATRIX, LARGEST_MATRIX), dtype=np.int64)
    np.add.at(merged, (places[:, None], places[None, :]), counts)
    others = f"{len(names) - len(common)} others"
    return merged, [*(names[number] for number in common), others]


def importance_chart(importances: Sequence[Importance], metric: str) -> Chart:
    """The most important columns as bars, with one standard deviation each way."""
    shown = list(importances[:SHOWN_IMPORTANCES])
    figure = Figure(figsize=(4.9, max(1.6, 0.24 * len(shown) + 0.8)), layout="constrained")
    axes = figure.add_subplot()
    axes.grid(axis="y", visible=False)
    axes.set_axisbelow(True)
    axes.barh(
        range(len(shown)),
        [item.mean for item in shown],
        xerr=[item.spread for item in shown],
        color=CHALLENGER,
        ecolor=INK,
        height=0.66,
        error_kw={"lw": 1},
    )
    axes.set_yticks(range(len(shown)), [short(item.column) for item in shown])
    axes.set_ylim(len(shown) - 0.5, -0.5)
    axes.tick_params(axis="y", length=0)
    axes.set_xlabel(f"loss of {metric} when the column is shuffled")
    axes.axvline(0, color=MUTED, lw=0.8)
    first = ", ".join(short(item.column) for item in shown[:3])
    text = f"The columns it leans on most: {first}. Lines show one standard deviation each way."
    return _chart(figure, "importance", "Permutation importance", text)


def gain_chart(gain: Mapping[str, float], gate: Gate, metric: str) -> Chart:
    """The gain, the middle 90 % of its bootstrap, and the margin that the gate asks for."""
    figure = Figure(figsize=(6.4, 0.95), layout="constrained")
    axes = figure.add_subplot()
    axes.grid(axis="y", visible=False)
    for side in ("left", "top", "right"):
        axes.spines[side].set_visible(False)
    axes.axvline(gate.margin, color=CHAMPION, lw=1.4, ls="--")
    axes.plot([gain["low"], gain["high"]], [0, 0], color=CHALLENGER, lw=4, solid_capstyle="butt")
    axes.plot(gain["value"], 0, "o", color=CHALLENGER, ms=9)
    axes.set(ylim=(-1, 1), yticks=[], xlabel=f"gain in {metric}; dashed: the margin asked for")
    axes.margins(x=0.1)
    text = (
        f"Gain {gain['value']:+.4f}, 90 % of the resamples within {gain['low']:+.4f} and "
        f"{gain['high']:+.4f}; margin {gate.margin:.4f}."
    )
    return _chart(figure, "gain", "Gain over the champion", text)


def thin(x: NDArray[np.float64], y: NDArray[np.float64]) -> Curve:
    """At most `POINTS` points of a curve, evenly spaced along it; both ends stay."""
    along = np.concatenate([[0.0], np.cumsum(np.abs(np.diff(x)) + np.abs(np.diff(y)))])
    wanted = np.linspace(0, along[-1], POINTS)
    kept = np.unique(np.append(np.searchsorted(along, wanted[:-1]), len(x) - 1))
    return x[kept], y[kept]


def short(label: Any) -> str:
    """A name from the data as one short line."""
    line = "".join(c if c.isprintable() else " " for c in str(label))
    return line if len(line) <= LONGEST_LABEL else f"{line[: LONGEST_LABEL - 1]}…"


def _mean_curve(ranking: Ranking, p: Predictions) -> Curve:
    curves = [ranking.curve(p.truth == label, p.probabilities[:, label]) for label in p.judged]
    if len(curves) == 1:
        return thin(*curves[0])
    grid = np.linspace(0, 1, POINTS)
    return grid, np.mean([np.interp(grid, x, y) for x, y in curves], axis=0)


def _calibration(p: Predictions) -> Curve:
    """Mean prediction and observed share in bins of equal size, as `calibration_error` has them."""
    predicted, observed, _ = zip(*calibration_bins(p), strict=True)
    return np.array(predicted), np.array(observed)


def _style(name: str) -> dict[str, Any]:
    champion = name == "champion"
    return {"color": CHAMPION if champion else CHALLENGER, "lw": 2, "ls": "--" if champion else "-"}


def _square(across: str, up: str) -> tuple[Figure, Axes]:
    figure = Figure(figsize=(4.2, 3.6), layout="constrained")
    axes = figure.add_subplot()
    axes.set(xlim=(-0.01, 1.01), ylim=(-0.01, 1.03), xlabel=across, ylabel=up)
    return figure, axes


def _chart(figure: Figure, name: str, title: str, text: str) -> Chart:
    return Chart(name, title, text, _svg(figure, name, title, text))


def _svg(figure: Figure, name: str, title: str, text: str) -> Markup:
    """The figure's SVG element: the same bytes each time, without sizes, dates or colours."""
    stream = io.StringIO()
    with warnings.catch_warnings(), mpl.rc_context({"svg.hashsalt": name}):
        warnings.simplefilter("ignore")  # a glyph that Matplotlib lacks, the reader's browser has
        figure.savefig(stream, format="svg", transparent=True, metadata={"Date": None})
    drawn = stream.getvalue()
    box = re.search(r'viewBox="[^"]*"', drawn)
    assert box is not None
    inner = drawn[drawn.index("</metadata>") + len("</metadata>") : drawn.rindex("</svg>")]
    inner = re.sub(r'<g id="[^"]*"', "<g", inner)
    for colour, variable in COLOURS.items():
        inner = inner.replace(f": {colour}", f": var(--{variable}, {colour})")
    return Markup(  # noqa: S704 - Matplotlib escapes its labels, `escape` the rest
        f'<svg {box.group()} role="img" aria-labelledby="{name}-title {name}-text">'
        f'<title id="{name}-title">{escape(title)}</title>'
        f'<desc id="{name}-text">{escape(text)}</desc>{inner}</svg>'
    )
