"""Turn a fitted pipeline into plain arrays, which score a row forty times as fast.

Nearly all of the time that scikit-learn takes for one row goes into frames and checks. Steps whose
arithmetic is known become functions on arrays; a pipeline with any other step stays as it is. What
is compiled has to give the model's own answers before it may serve (`compile_model`).
"""

from __future__ import annotations

import warnings
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, Final

import numpy as np
import pandas as pd
from scipy.special import expit, softmax

from mlops.data.rows import Columns, arrays

if TYPE_CHECKING:
    from numpy.typing import NDArray

    Floats = NDArray[np.float64]
    Matrix = NDArray[Any]

Step = Callable[["Matrix"], "Matrix"]
TOLERANCE: Final = 1e-9


class NotCompiled(Exception):
    """A step, or a value, that only the model itself can handle; the text names it."""


@dataclass(frozen=True)
class Compiled:
    """A pipeline as functions: from columns to a matrix, then to probabilities."""

    features: Callable[[Columns], Matrix]
    classifier: Step

    def predict_proba(self, columns: Columns) -> Floats:
        """Return probabilities of shape (n_rows, n_classes).

        Raises
        ------
        NotCompiled
            A value is left to the model itself.
        """
        with np.errstate(all="ignore"):
            found = self.classifier(self.features(columns))
        if not np.isfinite(found).all():  # such as a gap that the classifier does not take
            raise NotCompiled("an answer that is not a number")
        return found


def compile_model(model: Any, examples: pd.DataFrame) -> Compiled | str:
    """Return a fitted classifier as plain arrays, or why it is not compiled.

    Parameters
    ----------
    examples : DataFrame of shape (n_rows, n_features)
        Rows that the model was saved with. For them, for extremes and for missing values, the
        compiled model has to give the model's probabilities within 1e-9.
    """
    if examples.empty:
        return "the model was saved without examples to compare with"
    try:
        compiled = _compile(model, list(map(str, examples)))
        _prove(compiled, model, [examples, *_variations(examples)])
    except NotCompiled as reason:
        return str(reason)
    except Exception as error:  # of any class: other versions of scikit-learn may differ
        return f"{type(error).__name__}: {error}"
    return compiled


def _compile(model: Any, names: list[str]) -> Compiled:
    """Return the functions of a pipeline that begins with a ColumnTransformer, or of its parts."""
    if _name(model) == "FixedThresholdClassifier":
        model = model.estimator_
    if _name(model) != "Pipeline":
        raise NotCompiled(f"{_name(model)} is not a pipeline")
    (_, first), *middle, (_, last) = _flatten(model)
    if _name(first) != "ColumnTransformer":
        raise NotCompiled(f"the pipeline begins with {_name(first)}, not with a ColumnTransformer")
    features = _column_transformer(first, names)
    steps = [_step(step) for _, step in middle]
    classifier = _classifier(last)

    def answer(matrix: Matrix) -> Matrix:
        for step in steps:
            matrix = step(matrix)
        if np.isinf(matrix).any():  # most classifiers refuse it
            raise NotCompiled("a number that is too large")
        return classifier(matrix)

    return Compiled(features, answer)


def _flatten(pipeline: Any) -> list[tuple[str, Any]]:
    """Return the steps, those of pipelines within the pipeline included."""
    steps: list[tuple[str, Any]] = []
    for name, step in pipeline.steps:
        if step not in (None, "passthrough"):
            steps += _flatten(step) if _name(step) == "Pipeline" else [(name, step)]
    return steps


def _column_transformer(transformer: Any, names: list[str]) -> Callable[[Columns], Matrix]:
    parts: list[tuple[list[str], list[Step]]] = []
    for _, inner, chosen in transformer.transformers_:
        if inner == "drop" or not len(chosen):
            continue
        if not all(isinstance(name, str) for name in chosen):
            raise NotCompiled("columns that are not chosen by name")
        parts.append((list(chosen), [_step(step) for step in _inner_steps(inner)]))
    if not set(names) >= {name for chosen, _ in parts for name in chosen}:
        raise NotCompiled("columns that are not inputs")

    def features(columns: Columns) -> Matrix:
        blocks = []
        for chosen, steps in parts:
            block: Matrix = np.column_stack([columns[name] for name in chosen])
            for step in steps:
                block = step(block)
            blocks.append(block)
        return np.hstack(blocks).astype(np.float64, copy=False)

    return features


def _inner_steps(inner: Any) -> list[Any]:
    if _name(inner) == "Pipeline":
        return [step for _, step in _flatten(inner)]
    return [] if inner == "passthrough" else [inner]


def _step(step: Any) -> Step:
    """Return a fitted transformer as a function on a matrix."""
    match _name(step):
        case "SimpleImputer":
            return _imputer(step)
        case "StandardScaler":
            shift = step.mean_ if step.with_mean else 0.0
            scale = step.scale_ if step.with_std else 1.0
            return lambda matrix: (matrix - shift) / scale
        case "RobustScaler" if not step.unit_variance:
            center = step.center_ if step.with_centering else 0.0
            spread = step.scale_ if step.with_scaling else 1.0
            return lambda matrix: (matrix - center) / spread
        case "MinMaxScaler" if not step.clip:
            factor, offset = step.scale_, step.min_
            return lambda matrix: matrix * factor + offset
        case "MaxAbsScaler" if not getattr(step, "clip", False):
            largest = step.scale_
            return lambda matrix: matrix / largest
        case "OneHotEncoder" | "OrdinalEncoder":
            return _encoder(step)
        case "FunctionTransformer" if step.func is None:  # what "passthrough" becomes
            return lambda matrix: matrix
        case name:
            raise NotCompiled(f"{name} with these settings is not one of the known steps")


def _imputer(imputer: Any) -> Step:
    fill = imputer.statistics_
    if imputer.add_indicator or not pd.isna(imputer.missing_values) or pd.isna(fill).any():
        raise NotCompiled("SimpleImputer with an indicator, or for a column without values")
    return lambda matrix: np.where(_missing(matrix), fill, matrix)


def _missing(matrix: Matrix) -> NDArray[np.bool_]:
    """Return where a value is missing, which is NaN."""
    return np.asarray(matrix != matrix)


def _encoder(encoder: Any) -> Step:
    """Return an encoder of independent columns as one table per column.

    The tables are what the encoder itself makes of each category, of a missing value and of an
    unknown one; so its settings (drop, infrequent and unknown categories) need not be known here.
    """
    usual = _encode(encoder, {})
    tables = [_table(encoder, usual, place) for place in range(len(encoder.categories_))]

    def encode(matrix: Matrix) -> Matrix:
        made = np.tile(usual, (len(matrix), 1))
        for place, (places, codes, rows) in enumerate(tables):
            values = matrix[:, place].tolist()
            try:
                found = [codes[value if value == value else None] for value in values]
            except KeyError:
                if UNKNOWN not in codes:
                    raise NotCompiled("a category that the encoder does not know") from None
                unknown = codes[UNKNOWN]
                found = [codes.get(value if value == value else None, unknown) for value in values]
            made[:, places] = rows[found]
        return made

    return encode


UNKNOWN: Final = object()
NEVER: Final = {str: "\x00 no category is called so", float: 1.2345678901234567e300}


def _table(
    encoder: Any, usual: Matrix, place: int
) -> tuple[NDArray[np.int64], dict[Any, int], Matrix]:
    """Return which places of the output a column decides, its values' rows, and what is in them."""
    kinds = encoder.categories_[place]
    known = [None if value != value else value for value in kinds.tolist()]
    if not all(value is None or isinstance(value, str | float) for value in known):
        raise NotCompiled("categories that are neither text nor numbers")
    codes: dict[Any, int] = {value: number for number, value in enumerate(known)}
    outputs = [_encode(encoder, {place: value}) for value in kinds]
    unknown = NEVER[str if kinds.dtype == object else float]
    for key, value in ((None, np.nan), (UNKNOWN, unknown)):
        if key not in codes:
            try:
                made = _encode(encoder, {place: value})
            except ValueError:  # the encoder refuses it
                continue
            codes[key] = len(outputs)
            outputs.append(made)
    table = np.array(outputs)
    differs = ~((table == usual) | (_missing(table) & _missing(usual))).all(axis=0)
    places = np.flatnonzero(differs)
    return places, codes, table[:, places]


def _encode(encoder: Any, changed: Mapping[int, Any]) -> Floats:
    """Return the encoder's output for one row: the first categories, but for some columns."""
    names = getattr(encoder, "feature_names_in_", range(len(encoder.categories_)))
    cells = {
        name: pd.Series([changed.get(place, kinds[0])], dtype=kinds.dtype)
        for place, (name, kinds) in enumerate(zip(names, encoder.categories_, strict=True))
    }
    rows = pd.DataFrame(cells)
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")  # of unknown categories, which are asked for
        made = encoder.transform(rows if hasattr(encoder, "feature_names_in_") else rows.to_numpy())
    dense = made.toarray() if hasattr(made, "toarray") else made
    row: Floats = np.asarray(dense, dtype=np.float64)[0]
    return row


def _classifier(model: Any) -> Step:
    """Return a fitted classifier as a function from a matrix to probabilities."""
    match _name(model):
        case "LogisticRegression":
            return _logistic(model)
        case "DecisionTreeClassifier":
            return _forest([model])
        case "RandomForestClassifier" | "ExtraTreesClassifier":
            return _forest(model.estimators_)
        case "HistGradientBoostingClassifier":
            return _boosting(model)
        case name:
            raise NotCompiled(f"{name} is not one of the known classifiers")


def _logistic(model: Any) -> Step:
    weights, intercept = model.coef_.T, model.intercept_
    if len(model.classes_) > 2:
        return lambda matrix: softmax(matrix @ weights + intercept, axis=1)

    def answer(matrix: Matrix) -> Matrix:
        return _two(expit((matrix @ weights + intercept)[:, 0]))

    return answer


def _two(positive: Matrix) -> Matrix:
    return np.column_stack([1 - positive, positive])


@dataclass(frozen=True)
class Trees:
    """The nodes of many trees in one array each; a leaf is its own child."""

    roots: NDArray[np.int64]
    feature: NDArray[np.int64]
    threshold: Floats
    missing_left: NDArray[np.bool_]
    children: NDArray[np.int64]  # of shape (2 * n_nodes,): left, right, left, right, ...
    depth: int

    @classmethod
    def join(cls, trees: Sequence[Mapping[str, Any]]) -> Trees:
        """Join the arrays of trees, whose leaves have the left child -1."""
        sizes = [len(tree["left"]) for tree in trees]
        roots = np.concatenate([[0], np.cumsum(sizes)[:-1]]).astype(np.int64)
        own = np.arange(sum(sizes))
        shift = np.repeat(roots, sizes)
        left, right = (
            np.concatenate([tree[side] for tree in trees]).astype(np.int64) + shift
            for side in ("left", "right")
        )
        leaf = np.concatenate([tree["left"] for tree in trees]).astype(np.int64) < 0
        children = np.column_stack([np.where(leaf, own, left), np.where(leaf, own, right)])
        feature = np.concatenate([tree["feature"] for tree in trees]).astype(np.int64)
        return cls(
            roots,
            np.where(leaf, 0, feature),
            np.concatenate([tree["threshold"] for tree in trees]).astype(np.float64),
            np.concatenate([tree["missing_left"] for tree in trees]).astype(bool),
            children.ravel(),
            max(_depth(tree["left"], tree["right"]) for tree in trees),
        )

    def leaves(self, matrix: Matrix) -> NDArray[np.int64]:
        """Return the leaf of each row in each tree, of shape (n_rows, n_trees)."""
        nodes = np.broadcast_to(self.roots, (len(matrix), len(self.roots)))
        rows = np.arange(len(matrix))[:, None]
        gaps = bool(_missing(matrix).any())
        for _ in range(self.depth):
            values = matrix[rows, self.feature[nodes]]
            right = ~(values <= self.threshold[nodes])
            if gaps:
                right &= ~(_missing(values) & self.missing_left[nodes])
            nodes = self.children[2 * nodes + right]
        return nodes


def _depth(left: Any, right: Any) -> int:
    """Return how many decisions the longest way through a tree takes."""
    depth, level = 0, [0]
    while level := [int(side[node]) for node in level if left[node] >= 0 for side in (left, right)]:
        depth += 1
    return depth


def _forest(models: Sequence[Any]) -> Step:
    trees = Trees.join(
        [
            {
                "left": model.tree_.children_left,
                "right": model.tree_.children_right,
                "feature": model.tree_.feature,
                "threshold": model.tree_.threshold,
                "missing_left": model.tree_.missing_go_to_left,
            }
            for model in models
        ]
    )
    values = np.concatenate([model.tree_.value[:, 0, :] for model in models])
    shares = values / values.sum(axis=1, keepdims=True)

    def answer(matrix: Matrix) -> Matrix:
        # As scikit-learn does, compare 32-bit values with 64-bit thresholds.
        narrow = matrix.astype(np.float32).astype(np.float64)
        if np.isinf(narrow).any():
            raise NotCompiled("a number that is too large")
        return np.asarray(shares[trees.leaves(narrow)].mean(axis=1))

    return answer


def _boosting(model: Any) -> Step:
    predictors = [predictor for round_ in model._predictors for predictor in round_]
    if any(predictor.nodes["is_categorical"].any() for predictor in predictors):
        raise NotCompiled("HistGradientBoostingClassifier with categorical features")
    trees = Trees.join([_boosted_tree(predictor.nodes) for predictor in predictors])
    values = np.concatenate([predictor.nodes["value"] for predictor in predictors])
    per_round, baseline = model.n_trees_per_iteration_, model._baseline_prediction

    def answer(matrix: Matrix) -> Matrix:
        leaves = values[trees.leaves(matrix)]
        raw = leaves.reshape(len(matrix), -1, per_round).sum(axis=1) + baseline
        return _two(expit(raw[:, 0])) if per_round == 1 else softmax(raw, axis=1)

    return answer


def _boosted_tree(nodes: Any) -> dict[str, Any]:
    leaf = nodes["is_leaf"].astype(bool)
    return {
        "left": np.where(leaf, -1, nodes["left"].astype(np.int64)),
        "right": np.where(leaf, -1, nodes["right"].astype(np.int64)),
        "feature": nodes["feature_idx"],
        "threshold": nodes["num_threshold"],
        "missing_left": nodes["missing_go_to_left"],
    }


def _variations(examples: pd.DataFrame) -> list[pd.DataFrame]:
    """Return rows that the examples lack: extremes, unknown text, and missing values."""
    one = examples.head(3)
    made = []
    for name, values in examples.items():
        if pd.api.types.is_float_dtype(values):
            wild: list[Any] = [0.0, -0.0, 1e-300, 1e12, -1e12, 3e38, float(values.max()) + 0.5]
        elif values.dtype == object and values.map(lambda v: isinstance(v, str) or v != v).all():
            wild = ["", "\x00", "no such category", "\U0001f600"]
        else:
            continue
        made += [
            one.assign(**{str(name): pd.Series([v] * len(one), dtype=values.dtype)}) for v in wild
        ]
        made.append(one.assign(**{str(name): pd.Series([np.nan] * len(one), dtype=values.dtype)}))
    return made


def _prove(compiled: Compiled, model: Any, tables: Sequence[pd.DataFrame]) -> None:
    """Raise `NotCompiled` unless the compiled model gives the model's own answers."""
    rows = pd.concat(tables, ignore_index=True) if len(tables) > 1 else tables[0]
    try:
        expected = model.predict_proba(rows)
    except ValueError:  # it refuses some of them, as the server then does
        if len(tables) > 1:
            for table in tables:
                _prove(compiled, model, [table])
        return
    try:
        found = compiled.predict_proba(arrays(rows))
    except NotCompiled:  # left to the model
        return
    if found.shape != expected.shape or not np.allclose(
        found, expected, rtol=0, atol=TOLERANCE, equal_nan=True
    ):
        raise NotCompiled("the arrays give other answers than the model")


def _name(step: Any) -> str:
    """Return the class of a step of scikit-learn; a class of your own is not known by its name."""
    kind = type(step)
    return (
        kind.__name__
        if kind.__module__.startswith("sklearn.")
        else f"{kind.__module__}.{kind.__name__}"
    )
