"""Keep one issue about what differs: ``python -m mlops.ci.issue TITLE TEXT...``.

Opens it or updates it with the texts that are not empty; closes it without any. Runs in a job that
may write issues, with nothing installed.
"""

from __future__ import annotations

import sys

from mlops import ci
from mlops.errors import MlopsError


def main() -> int:
    title, *texts = sys.argv[1:]
    job = ci.current()
    found = [text for text in texts if text]
    body = "\n\n".join([*found, f"Seen by {job.url()}."]) if found else ""
    try:
        job.issue(title, body)
    except MlopsError as error:
        print(f"Error: {error}\nFix: {error.fix}", file=sys.stderr)
        return 1
    return 0


if __name__ == "__main__":
    sys.exit(main())
