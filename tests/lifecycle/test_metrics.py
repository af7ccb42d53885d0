"""Every metric against scikit-learn's or a case computed by hand; slices against a plain loop."""

from __future__ import annotations

import math

import numpy as np
import pandas as pd
import pytest
from mlops.evaluation.metrics import Predictions, calibration_error, measure, measure_slices
from mlops.results import Slice, SliceMetrics
from sklearn import metrics as sk


def binary(rows: int = 900, seed: int = 0) -> Predictions:
    """Rounded scores (so there are ties); the positive class is the first of the two."""
    rng = np.random.default_rng(seed)
    score = rng.random(rows).round(2) * 0.98 + 0.01
    truth = (rng.random(rows) > score).astype(int)
    return Predictions(
        truth=truth,
        probabilities=np.column_stack([score, 1 - score]),
        labels=np.where(score >= 0.3, 0, 1),
        positive=0,
    )


def three(rows: int = 900, seed: int = 0) -> Predictions:
    rng = np.random.default_rng(seed)
    shares = rng.dirichlet([1, 2, 3], size=rows).clip(1e-9)
    shares /= shares.sum(axis=1, keepdims=True)
    truth = np.array([rng.choice(3, p=row) for row in shares])
    return Predictions(truth, shares, shares.argmax(axis=1), None)


def test_two_classes_are_measured_as_scikit_learn_does() -> None:
    p = binary()
    truth, score = p.truth == 0, p.probabilities[:, 0]
    said = p.labels == 0
    found = measure(p)
    assert found.pop("calibration_error") > 0
    assert found == pytest.approx(
        {
            "average_precision": sk.average_precision_score(truth, score),
            "roc_auc": sk.roc_auc_score(truth, score),
            "log_loss": sk.log_loss(truth, score),
            "brier": sk.brier_score_loss(truth, score),
            "accuracy": sk.accuracy_score(truth, said),
            "precision": sk.precision_score(truth, said),
            "recall": sk.recall_score(truth, said),
            "f1": sk.f1_score(truth, said),
        },
        rel=1e-12,
    )


def test_three_classes_are_measured_as_scikit_learn_does() -> None:
    p = three()
    each = np.eye(3)[p.truth]
    found = measure(p)
    assert found.pop("calibration_error") > 0
    assert found == pytest.approx(
        {
            "average_precision": sk.average_precision_score(each, p.probabilities, average="macro"),
            "roc_auc": sk.roc_auc_score(p.truth, p.probabilities, multi_class="ovr"),
            "log_loss": sk.log_loss(p.truth, p.probabilities),
            "brier": sk.brier_score_loss(p.truth, p.probabilities, scale_by_half=False),
            "accuracy": sk.accuracy_score(p.truth, p.labels),
            "precision": sk.precision_score(p.truth, p.labels, average="macro"),
            "recall": sk.recall_score(p.truth, p.labels, average="macro"),
            "f1": sk.f1_score(p.truth, p.labels, average="macro"),
        },
        rel=1e-12,
    )


def test_a_certain_and_wrong_prediction_has_a_finite_loss() -> None:
    p = Predictions(np.array([0, 1]), np.array([[0.0, 1.0], [0.0, 1.0]]), np.array([1, 1]), 1)
    assert measure(p)["log_loss"] == pytest.approx(-math.log(np.finfo(float).eps) / 2)


@pytest.mark.parametrize("label", [0, 1])
def test_without_both_classes_a_ranking_is_undefined(label: int) -> None:
    p = binary()
    found = measure(p[p.truth == label])
    undefined = {name for name, value in found.items() if value is None}
    # Without a positive example, recall and F1 stay defined where something was predicted.
    assert {"average_precision", "roc_auc"} <= undefined
    assert undefined <= {"average_precision", "roc_auc", "recall", "f1"}
    assert ("recall" in undefined) == (label == 1)


def test_without_a_positive_prediction_precision_is_undefined() -> None:
    p = binary()
    never = Predictions(p.truth, p.probabilities, np.ones_like(p.labels), 0)
    found = measure(never)
    assert found["precision"] is None
    assert found["recall"] == 0
    assert found["f1"] == 0


def test_a_missing_class_is_left_out_of_the_mean_over_classes() -> None:
    p = three()
    left = p[p.truth != 2]
    found = measure(left)
    for name, score in [
        ("roc_auc", sk.roc_auc_score),
        ("average_precision", sk.average_precision_score),
    ]:
        parts = [score(left.truth == label, left.probabilities[:, label]) for label in (0, 1)]
        assert found[name] == pytest.approx(np.mean(parts))


def test_calibration_error_of_a_case_computed_by_hand() -> None:
    """Ten bins of two rows; each bin's rows share one score, so any order gives the same bins."""
    score = np.repeat([0.05, 0.1, 0.15, 0.2, 0.4, 0.6, 0.65, 0.9, 0.95, 1.0], 2)
    hits = [0, 0, 0, 0, 0, 1, 0, 0, 0, 1, 1, 0, 1, 0, 1, 1, 1, 1, 1, 1]
    gaps = [0.05, 0.1, 0.35, 0.2, 0.1, 0.1, 0.15, 0.1, 0.05, 0.0]
    truth = np.array(hits)
    shares = np.column_stack([1 - score, score])
    mixed = np.random.default_rng(0).permutation(20)
    p = Predictions(truth, shares, truth, 1)[mixed]
    assert calibration_error(p) == pytest.approx(np.mean(gaps))


def test_calibration_error_of_three_classes_judges_the_predicted_one() -> None:
    shares = np.array([[0.7, 0.2, 0.1], [0.2, 0.5, 0.3], [0.1, 0.3, 0.6], [0.4, 0.3, 0.3]])
    truth = np.array([0, 1, 0, 0])
    p = Predictions(truth, shares, shares.argmax(axis=1), None)
    assert calibration_error(p) == pytest.approx((0.3 + 0.5 + 0.6 + 0.6) / 4)


def test_slices_are_measured_as_by_a_plain_groupby() -> None:
    p = binary()
    rng = np.random.default_rng(1)
    values = pd.Series(rng.choice(["b", "a", "", None], size=900, p=[0.5, 0.3, 0.1, 0.1]))
    codes = rng.choice([1.0, 2.0, np.nan], size=900)
    frame = pd.DataFrame({"home": values, "code": codes}, index=rng.permutation(900))
    found = measure_slices(p, frame, ["home", "code"])
    plain = []
    numbers = {"1.0": "1", "2.0": "2"}  # whole numbers are written as such
    for column in ("home", "code"):
        texts = frame[column].astype(object).where(frame[column].notna(), "missing").astype(str).replace(numbers)
        for value, rows in texts.reset_index(drop=True).groupby(texts.to_numpy()):
            some = p[rows.index.to_numpy()]
            part = Slice(column=column, value=value)
            plain.append(SliceMetrics(slice=part, rows=len(rows), metrics=measure(some)))
    assert found == tuple(plain)
    assert [part.slice.value for part in found if part.slice.column == "code"] == ["1", "2", "missing"]


def test_numbers_are_cut_at_the_edges_which_belong_below() -> None:
    p = binary(8)
    ages = pd.DataFrame({"age": [18, 30, 31, 50, 51, np.nan, 30.5, 90]})
    found = measure_slices(p, ages, [{"age": [30, 50]}])
    sizes = [(part.slice.value, part.rows) for part in found]
    assert sizes == [("up to 30", 2), ("30 to 50", 3), ("over 50", 2), ("missing", 1)]
    by_name = {part.slice.value: part.metrics for part in found}
    assert by_name["up to 30"] == measure(p[np.array([0, 1])])
    assert by_name["missing"] == measure(p[np.array([5])])


def test_an_empty_range_is_no_slice() -> None:
    ages = pd.DataFrame({"age": np.arange(8)})
    assert [part.slice.value for part in measure_slices(binary(8), ages, [{"age": [3, 100]}])] == [
        "up to 3",
        "3 to 100",
    ]


def test_a_slice_of_one_class_keeps_what_is_defined() -> None:
    p = binary()
    frame = pd.DataFrame({"side": np.where(p.truth == 0, "all", "none")})
    found = measure_slices(p, frame, ["side"])
    assert len(found) == 2
    for part in found:
        assert part.metrics["roc_auc"] is None
        assert part.metrics["brier"] is not None
        assert part.metrics["brier"] >= 0
