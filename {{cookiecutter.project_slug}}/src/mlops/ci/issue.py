"""Keep one issue about what differs: ``python -m mlops.ci.issue TITLE TEXT...``.

Opens it or updates it with the texts that are not empty; closes it without any. Runs in a job that
may write issues, with nothing installed.
"""

from __future__ import annotations

import sys

from mlops import ci


def keep(job: ci.Job) -> None:
    """Keep the issue with the title and the texts of the command line."""
    title, *texts = sys.argv[1:]
    found = [text for text in texts if text]
    job.issue(title, "\n\n".join([*found, f"Seen by {job.url()}."]) if found else "")


if __name__ == "__main__":
    sys.exit(ci.report(keep))
