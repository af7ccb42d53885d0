"""Runs a batch scoring script like an Azure ML node: `batch_driver.py SCRIPT INPUT OUTPUT FILES_AT_ONCE`.

Calls init() once, then run() with the paths of each mini-batch; each result becomes a line of the output file.
"""

import importlib.util
import os
import sys
from pathlib import Path
from typing import Any


def main() -> None:
    script, source, output, size = Path(sys.argv[1]), Path(sys.argv[2]), Path(sys.argv[3]), int(sys.argv[4])
    sys.path[0] = os.environ["AML_APP_ROOT"]
    scoring = _load(script)
    files = sorted(str(file) for file in source.rglob("*") if file.is_file()) if source.is_dir() else [str(source)]
    scoring.init()
    with output.open("w", encoding="utf-8") as stream:
        for first in range(0, len(files), size):
            for line in scoring.run(files[first : first + size]):
                stream.write(f"{line}\n")


def _load(script: Path) -> Any:
    spec = importlib.util.spec_from_file_location("scoring", script)
    assert spec is not None
    assert spec.loader is not None
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module


if __name__ == "__main__":
    main()
