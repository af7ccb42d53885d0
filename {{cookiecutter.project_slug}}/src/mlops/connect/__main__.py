"""`mlops connect`, and without an installation `python src/mlops/connect`."""

from __future__ import annotations

import sys
from pathlib import Path

if __name__ == "__main__":
    sys.path[0] = str(Path(__file__).resolve().parents[2])  # instead of this folder

from mlops.connect.command import main

if __name__ == "__main__":
    sys.exit(main(sys.argv[1:], Path.cwd(), f"{Path(sys.executable).name} src/mlops/connect"))
