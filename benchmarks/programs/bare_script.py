"""Read, split, fit and score once, like a notebook, with the project's features and classifier.

Called as: bare_script.py PACKAGE FILE TARGET POSITIVE HOLDOUT PARAMS
"""

import importlib
import json
import sys

import pandas as pd
from sklearn.ensemble import HistGradientBoostingClassifier
from sklearn.metrics import average_precision_score
from sklearn.model_selection import train_test_split
from sklearn.pipeline import make_pipeline


def main() -> None:
    """Print the average precision on the holdout."""
    package, file, target, positive, holdout, params = sys.argv[1:]
    features = importlib.import_module(f"{package}.features").features
    frame = pd.read_csv(file, low_memory=False)
    y = frame.pop(target)
    X_train, X_test, y_train, y_test = train_test_split(frame, y, test_size=float(holdout), random_state=7)
    model = make_pipeline(features(X_train), HistGradientBoostingClassifier(**json.loads(params), random_state=7))
    model.fit(X_train, y_train)
    scores = model.predict_proba(X_test)[:, list(model.classes_).index(positive)]
    print(average_precision_score(y_test == positive, scores))


if __name__ == "__main__":
    main()
