"""Write rows drawn from the sample with replacement, with jittered amounts and one more column.

Called as: make_rows.py SAMPLE ROWS FILE
"""

import sys

import numpy as np
import pandas as pd

JITTER = 0.05  # standard deviation of the amounts, relative to their values
EXTRA = "extra"


def main() -> None:
    """Draw the rows with a fixed seed, and write them as CSV."""
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
