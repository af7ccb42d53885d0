"""How raw columns become numbers. It is part of the model, so serving does exactly the same."""

import pandas as pd
from sklearn.compose import ColumnTransformer
from sklearn.impute import SimpleImputer
from sklearn.pipeline import make_pipeline
from sklearn.preprocessing import OneHotEncoder, StandardScaler


def features(frame: pd.DataFrame) -> ColumnTransformer:
    """An unfitted transformer for the columns of ``frame`` (no target).

    Numbers are imputed by the median and scaled; text is one-hot encoded, with rare and
    never-seen categories in one column of their own.
    """
    numbers = list(frame.select_dtypes("number"))
    texts = [column for column in frame if column not in numbers]
    return ColumnTransformer(
        [
            ("numbers", make_pipeline(SimpleImputer(strategy="median"), StandardScaler()), numbers),
            (
                "texts",
                OneHotEncoder(
                    handle_unknown="infrequent_if_exist", min_frequency=20, sparse_output=False
                ),
                texts,
            ),
        ]
    )
