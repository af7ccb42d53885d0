"""Write many rows like those of the sample: drawn with replacement, amounts jittered, one column added.

Called as: make_rows.py SAMPLE ROWS FILE
"""

import sys

import numpy as np
import pandas as pd

JITTER = 0.05  # standard deviation of the amounts, relative to their values
EXTRA = "extra"


def main() -> None:
    """Draw the rows and write them as CSV, the same ones each time."""
    sample, rows, file = pd.read_csv(sys.argv[1]), int(sys.argv[2]), sys.argv[3]
    rng = np.random.default_rng(7)
    frame = sample.iloc[rng.integers(len(sample), size=rows)].reset_index(drop=True)
    for column in ("expenses", "income", "assets", "debt", "amount", "price"):
        known = sample[column]
        jittered = frame[column] * rng.normal(1, JITTER, rows)
        frame[column] = jittered.clip(known.min(), known.max()).round(1)
    frame[EXTRA] = rng.normal(size=rows).round(3)
    frame.to_csv(file, index=False)


if __name__ == "__main__":
    main()
