"""Turn probabilities into predicted classes, in training, evaluation and serving alike."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import numpy as np

if TYPE_CHECKING:
    from numpy.typing import NDArray


def predicted_classes(model: Any, probabilities: NDArray[np.float64]) -> NDArray[np.int64]:
    """Return what ``model.predict`` would, without computing the probabilities again.

    Parameters
    ----------
    model : fitted classifier
        With a ``threshold`` for ``pos_label`` (two classes), or without.
    probabilities : ndarray of shape (n_rows, n_classes)
        In the order of ``model.classes_``.

    Returns
    -------
    int ndarray of shape (n_rows,)
        Indices into ``model.classes_``.
    """
    if not hasattr(model, "threshold"):
        return np.asarray(probabilities.argmax(axis=1))
    positive = list(model.classes_).index(model.pos_label)
    return np.where(probabilities[:, positive] >= model.threshold, positive, 1 - positive)
