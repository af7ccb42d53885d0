"""Numbers as they are, segments one-hot encoded."""

import pandas as pd
from sklearn.compose import ColumnTransformer
from sklearn.preprocessing import OneHotEncoder

NUMBERS = ["near", "far", "told"]


def features(frame: pd.DataFrame) -> ColumnTransformer:
    """An unfitted transformer; its first three columns are ``NUMBERS``, then come the segments."""
    return ColumnTransformer(
        [
            ("numbers", "passthrough", NUMBERS),
            ("segments", OneHotEncoder(handle_unknown="ignore", sparse_output=False), ["segment"]),
        ]
    )
