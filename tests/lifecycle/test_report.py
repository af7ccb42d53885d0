"""The report's pages: complete, safe with hostile names, and reproducible."""

from __future__ import annotations

import re
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, replace
from html.parser import HTMLParser
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import pytest
from markdown_it import MarkdownIt
from mlops import lifecycle
from mlops.config import Gate, Project
from mlops.data.dataset import Dataset
from mlops.data.identity import identify
from mlops.errors import ConfigError
from mlops.evaluation.charts import draw_charts, thin
from mlops.evaluation.metrics import Predictions, measure
from mlops.evaluation.report import confusion, plain
from mlops.model.estimators import make_estimator
from mlops.model.training import train
from mlops.results import (
    Evaluation,
    Reason,
    Registration,
    Slice,
    SliceMetrics,
    ThresholdResult,
    Training,
    write_result,
)
from mlops.science import Science
from sklearn.compose import make_column_transformer
from sklearn.preprocessing import OneHotEncoder

SCRIPT = "<script>alert('x')</script>"
TABLE = "a|b `c` **d**\n| e | & $x$ &amp;"
LINK = '"><img src=http://evil.example/x> [y](http://evil.example) @someone'
VOID = {"meta", "img", "br", "hr", "link", "input"}


@contextmanager
def own_store() -> Iterator[None]:
    """Clear the store that MLflow keeps in the environment after its last use."""
    with pytest.MonkeyPatch.context() as patch:
        for name in ("MLFLOW_TRACKING_URI", "MLFLOW_RUN_ID", "MLFLOW_EXPERIMENT_NAME"):
            patch.setenv(name, "")
            patch.delenv(name)
        yield


@dataclass(frozen=True)
class Case:
    """A project whose second model was compared with its first, and its report."""

    project: Project
    dataset: Dataset
    evaluation: Evaluation
    training: Training

    def write(self) -> dict[str, str]:
        with own_store():
            page = lifecycle.report(self.project, self.dataset, self.training, self.evaluation)
        return {file.name: file.read_text(encoding="utf-8") for file in page.parent.iterdir()}


class Page(HTMLParser):
    """Collects what a page shows and what it refers to; fails on tags that do not match."""

    def __init__(self, text: str) -> None:
        super().__init__()
        self.open: list[str] = []
        self.tags: set[str] = set()
        self.ids: list[str] = []
        self.references: list[str] = []
        self.shown: list[str] = []
        self.feed(text)
        self.close()
        assert self.open == []

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        self.handle_startendtag(tag, attrs)
        if tag not in VOID:
            self.open.append(tag)

    def handle_startendtag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        self.tags.add(tag)
        for name, value in attrs:
            assert not name.startswith("on"), (tag, name)
            if name == "id":
                self.ids.append(str(value))
            if name in ("src", "href", "xlink:href", "srcset", "action", "data"):
                self.references.append(str(value))
            self.references += re.findall(r"url\(([^)]*)\)", str(value))

    def handle_endtag(self, tag: str) -> None:
        assert self.open.pop() == tag

    def handle_data(self, data: str) -> None:
        if self.open and self.open[-1] == "style":
            self.references += re.findall(r"url\(([^)]*)\)|@import", data)
        else:
            self.shown.append(data)

    @property
    def text(self) -> str:
        return "".join(self.shown)


def made_dataset(classes: list[str], categories: list[str]) -> Dataset:
    """Rows whose class follows from ``signal`` and ``SCRIPT``, but not from ``noise``."""
    rng = np.random.default_rng(3)
    n = 900
    signal = rng.normal(size=n)
    place = rng.integers(0, len(categories), size=n)
    rank = np.argsort(np.argsort(signal + 0.4 * place + rng.normal(scale=0.5, size=n)))
    names = np.sort(np.array(classes, dtype=object))
    features = pd.DataFrame(
        {
            "signal": signal,
            "noise": rng.normal(size=n),
            SCRIPT: np.array(categories, dtype=object)[place],
        }
    )
    holdout = np.arange(n) % 3 == 0
    target = names[rank * len(names) // n]
    positive = str(names[1]) if len(names) == 2 else None
    rare = np.flatnonzero(holdout & (target == names[0]))[:3]
    features.loc[rare, SCRIPT] = LINK  # one class only: its ranking is undefined
    keys, digest = identify(features, []), f"{len(classes)} classes"
    return Dataset(features, target, names, positive, holdout, None, digest, features, keys)


def made_case(root: Path, classes: list[str], second: dict[str, Any]) -> Case:
    """Train and register a first model, then train ``second`` and let the gate compare."""
    project = Project(
        project="made",
        name=f"Made {SCRIPT} for @someone",
        description="Tells made rows apart.",
        repository="org/made",
        package="made",
        data={"path": "data.csv", "target": "class"},
        model={"estimator": "logistic_regression"},
        gate={
            "thresholds": {"roc_auc": 0.6},
            "slices": [SCRIPT],
            "slice_thresholds": {"log_loss": 2.0},
            "min_slice_rows": 20,
        },
        serving={"staging": {"port": 5080}, "production": {"port": 5090}},
        azure={"region": "westeurope", "prefix": "made"},
        root=root,
    )
    dataset = made_dataset(classes, [SCRIPT, TABLE, "plain"])
    science = Science(
        load=pd.read_csv,
        features=lambda frame: make_column_transformer(
            (OneHotEncoder(handle_unknown="ignore", sparse_output=False), [SCRIPT]),
            remainder="passthrough",
        ),
        model=make_estimator,
    )
    for params in ({"C": 1.0}, second):
        model = project.model.model_copy(update={"params": params})
        project = project.model_copy(update={"model": model})
        with own_store():
            evaluation, training = compared(project, dataset, science)
    return Case(project, dataset, evaluation, training)


def compared(project: Project, dataset: Dataset, science: Science) -> tuple[Evaluation, Training]:
    """Train, evaluate, and register what the gate accepts, as the verbs do."""
    folder = project.outputs / "training"
    train(dataset, project, science, folder, lambda _: None)
    training = lifecycle.last(project, Training)
    evaluation = lifecycle.evaluate(project, dataset, training)
    assert evaluation == lifecycle.last(project, Evaluation)
    if evaluation.decision.accepted:
        lifecycle.register(project, training, evaluation)
    return evaluation, training


@pytest.fixture(scope="module")
def two(tmp_path_factory: pytest.TempPathFactory) -> Case:
    """Two classes; the second model is worse, and refused."""
    return made_case(tmp_path_factory.mktemp("two"), ["bad|one", SCRIPT], {"C": 1e-4})


@pytest.fixture(scope="module")
def three(tmp_path_factory: pytest.TempPathFactory) -> Case:
    """Three classes; the second model is worse, and refused."""
    return made_case(tmp_path_factory.mktemp("three"), [TABLE, SCRIPT, LINK], {"C": 1e-4})


@pytest.fixture(params=["two", "three"])
def case(request: pytest.FixtureRequest) -> Case:
    found = request.getfixturevalue(request.param)
    assert isinstance(found, Case)
    return found


def markdown_tables(text: str) -> list[list[str]]:
    """The blocks of consecutive lines that start with a pipe."""
    blocks = re.findall(r"(?:^\|.*\n)+", text, flags=re.MULTILINE)
    return [block.splitlines() for block in blocks]


def test_page_is_one_well_formed_file(case: Case) -> None:
    page = Page(case.write()["report.html"])
    assert {"table", "svg", "h1", "figcaption", "style"} <= page.tags
    assert [r for r in page.references if not r.startswith("#")] == []
    assert len(page.ids) == len(set(page.ids))
    wanted = {r.removeprefix("#") for r in page.references}
    assert wanted <= set(page.ids)


def test_bars_and_shades_follow_the_numbers(case: Case) -> None:
    text = case.write()["report.html"]
    assert text.count('style="--percent: ') == len(case.evaluation.classes) ** 2 + len(case.dataset.features.columns)
    style = text[text.index("<style>") : text.index("</style>")]
    for drawn in (".confusion td {", ".share div {"):
        assert "var(--percent)" in style.partition(drawn)[2].partition("}")[0]


def test_hostile_names_are_shown_and_do_nothing(case: Case) -> None:
    text = case.write()["report.html"]
    page = Page(text)
    assert page.tags.isdisjoint({"script", "img"})
    assert "<script" not in text
    assert f"Made {SCRIPT}" in page.text
    for name in (SCRIPT, TABLE, LINK):
        assert name in page.text


def test_markdown_tables_are_whole_and_show_the_names(case: Case) -> None:
    pages = case.write()
    for name in ("report.md", "model_card.md"):
        tables = markdown_tables(pages[name])
        assert len(tables) >= 4
        for table in tables:
            assert len({line.count("|") for line in table}) == 1, table
            assert set(table[1]) <= set("| :-")
        shown = Page(MarkdownIt("commonmark").enable("table").render(pages[name]))
        assert shown.tags.isdisjoint({"script", "img", "a", "em"})
        flat = re.sub(r"\s+", " ", shown.text)
        for value in (SCRIPT, TABLE.replace("\n", " ")):
            assert value in flat, name
        assert not re.search(r"(@|&#64;)\w", pages[name]), "somebody would be notified"


@pytest.mark.parametrize("value", [SCRIPT, TABLE, LINK, "__init__", "*a*", "~~b~~", "www.x.org"])
def test_plain_shows_exactly_the_text(value: str) -> None:
    shown = Page(MarkdownIt("commonmark").enable(["table", "strikethrough"]).render(plain(value, 200)))
    assert shown.tags <= {"p"}
    assert shown.text.strip() == value.replace("\n", " ")


def test_plain_cuts_long_text() -> None:
    assert plain("a" * 100) == "a" * 59 + "…"


def test_two_runs_write_the_same_bytes(case: Case) -> None:
    assert case.write() == case.write()


def test_a_refused_model_shows_its_reasons_first(case: Case) -> None:
    pages = case.write()
    assert [reason.code for reason in case.evaluation.decision.reasons] == ["worse"]
    sentence = "It is worse than the champion"
    shown = Page(pages["report.html"]).text
    assert shown.index("Refused, not registered") < shown.index(sentence) < shown.index("Metrics")
    markdown = pages["report.md"]
    assert markdown.startswith("## ❌ Made")
    assert markdown.splitlines()[0].endswith(": refused, not registered")
    assert markdown.index("`worse`: It is worse") < markdown.index("### Metrics")
    assert "do not serve this model" in pages["model_card.md"]


def test_champion_is_shown_beside_challenger(case: Case) -> None:
    text = case.write()["report.md"]
    champions = case.evaluation.champion_metrics
    assert champions is not None
    metric, champion = case.evaluation.metrics["log_loss"], champions["log_loss"]
    assert metric is not None
    assert champion is not None
    assert f"| Log loss ↓ | {metric:.4f} | {champion:.4f} | {champion - metric:+.4f} |" in text
    gain = case.evaluation.decision.gain
    assert gain is not None
    assert f"between {gain.low:+.4f} and {gain.high:+.4f}" in text
    page = Page(case.write()["report.html"])
    assert {"gain-title", "roc-title", "calibration-title"} <= set(page.ids)
    assert f"champion {champions['roc_auc']:.3f}" in page.text


def test_undefined_metrics_and_small_slices_say_so(two: Case) -> None:
    (small,) = [part for part in two.evaluation.slices if part.slice.value == LINK]
    assert small.metrics["roc_auc"] is None
    (line,) = [row for row in two.write()["report.md"].splitlines() if "too few rows" in row]
    assert "| \N{EN DASH} | \N{EN DASH} |" in line


def test_importance_names_the_decisive_column(case: Case) -> None:
    text = case.write()["report.md"]
    table = text[text.index("Permutation importance") :]
    rows = re.findall(r"^\| <code>(\w+)</code> \| ([+-][\d.]+)", table, flags=re.MULTILINE)
    assert rows[0][0] == "signal"
    assert float(rows[0][1]) > 10 * abs(float(dict(rows)["noise"]))


def test_card_includes_the_notes_of_a_person(two: Case) -> None:
    assert "not documented yet" in two.write()["model_card.md"]
    file = two.project.root / "docs" / "model-card.md"
    file.parent.mkdir()
    try:
        file.write_text("For *made* rows only.\n", encoding="utf-8")
        text = two.write()["model_card.md"]
    finally:
        file.unlink()
        file.parent.rmdir()
    assert "For *made* rows only." in text
    assert "not documented yet" not in text


def test_many_slices_still_fit_into_a_comment(three: Case) -> None:
    metrics = three.evaluation.slices[0].metrics
    slices = [Slice(column=SCRIPT, value=f"{LINK} {number}") for number in range(3000)]
    reason = Reason(code="slice_threshold_failed", text=f"{TABLE * 20} is 3.")
    result = ThresholdResult(metric="log_loss", value=3.0, limit=2.0, passed=False)
    decision = three.evaluation.decision.model_copy(
        update={
            "thresholds": tuple(result.model_copy(update={"slice": part}) for part in slices),
            "reasons": (reason,) * 3000,
        }
    )
    parts = tuple(SliceMetrics(slice=part, rows=99, metrics=metrics) for part in slices)
    evaluation = three.evaluation.model_copy(update={"slices": parts, "decision": decision})
    pages = replace(three, evaluation=evaluation).write()
    assert len(pages["report.md"]) < 65_536
    assert "The other 2975 are in report.html." in pages["report.md"]
    assert Page(pages["report.html"]).text.count(LINK) >= 3000


def test_parts_that_do_not_belong_together_are_refused(two: Case, three: Case) -> None:
    with pytest.raises(ConfigError, match="an earlier model"):
        replace(two, training=two.training.model_copy(update={"run_id": "0" * 32})).write()
    with pytest.raises(ConfigError, match="other data"):
        replace(two, dataset=three.dataset).write()
    other_split = replace(two.dataset, holdout=~two.dataset.holdout)
    with pytest.raises(ConfigError, match="other rows"):
        replace(two, dataset=other_split).write()
    elsewhere = two.project.model_copy(update={"root": two.project.root / "nowhere"})
    with pytest.raises(ConfigError, match=r"predictions\.parquet does not belong to"):
        replace(two, project=elsewhere).write()


def test_only_the_registration_of_the_same_run_is_shown(two: Case) -> None:
    accepted = two.evaluation.decision.model_copy(update={"accepted": True})
    case = replace(two, evaluation=two.evaluation.model_copy(update={"decision": accepted}))
    folder = two.project.outputs / "registration"
    for run_id, shown in [(two.training.run_id, True), ("0" * 32, False)]:
        write_result(folder, Registration(name="made", version=7, run_id=run_id))
        pages = case.write()
        assert all(("registered as version 7" in text) == shown for text in pages.values())


def made_charts(rows: int, classes: int) -> str:
    rng = np.random.default_rng(0)
    scores = rng.dirichlet(np.ones(classes), size=rows)
    truth = rng.integers(0, classes, size=rows)
    p = Predictions(truth, scores, scores.argmax(axis=1), 1 if classes == 2 else None)
    models, values = {"challenger": p, "champion": p}, {"challenger": measure(p), "champion": measure(p)}
    charts = draw_charts(models, values, range(classes), None, Gate())
    return "".join(chart.svg for chart in charts.values())


@pytest.mark.parametrize("classes", [2, 3, 30])
def test_charts_do_not_grow_with_the_rows(classes: int) -> None:
    small, large = made_charts(2_000, classes), made_charts(100_000, classes)
    assert len(large) < 1.2 * len(small)
    assert len(large) < 150_000


def test_rare_classes_are_merged_in_the_confusion_matrix() -> None:
    truth = np.repeat(np.arange(30), 60 - np.arange(30))  # class 0 is the most common
    labels = np.random.default_rng(0).permutation(truth)
    found = confusion(Predictions(truth, np.eye(30)[labels], labels, None), range(30))
    assert [*found] == [*found.index] == [*map(str, range(11)), "19 others"]
    assert found.iloc[0, 1] == np.sum((truth == 0) & (labels == 1))
    assert found.iloc[11, 11] == np.sum((truth > 10) & (labels > 10))
    assert found.to_numpy().sum() == len(truth)


def test_thin_keeps_the_ends_and_the_shape() -> None:
    x = np.linspace(0, 1, 100_000)
    y = np.where(x < 0.001, x * 900, 0.9 + (x - 0.001) * 0.1)
    kept_x, kept_y = thin(x, y)
    assert len(kept_x) <= 200
    assert (kept_x[0], kept_x[-1], kept_y[-1]) == (0, 1, y[-1])
    assert (np.diff(kept_y) < 0.02).all()
