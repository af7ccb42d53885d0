"""A loopback Azure: `python tests/doubles/arm.py --folder DIR`; see README.md beside this file.

Prints one line of JSON with its address and the environment variables that a client needs, and serves until it is
stopped. Needs an environment with a rendered project's requirements.
"""

import sys
from pathlib import Path

if __name__ == "__main__":
    sys.path[0] = str(Path(__file__).resolve().parents[1])  # this folder as the package doubles, not as modules
    from doubles.program import main

    main()
