"""The command: show what is left to do, ask once, do it, and say what is not done."""

from __future__ import annotations

import argparse
import getpass
import os
import sys
from pathlib import Path
from typing import Final

from mlops.connect.consent import agrees
from mlops.connect.platforms import platform_of
from mlops.connect.settings import read_settings
from mlops.connect.steps import Choices, Record, carry_out, show_plan, show_unfinished
from mlops.connect.webhook import WEBHOOK
from mlops.errors import MlopsError

AGREES: Final = "MLOPS_CONNECT_YES"  # for the template's hook, which passes no options
INTERRUPTED: Final = 130


def main(arguments: list[str], root: Path, again: str = "mlops connect") -> int:
    """Connect the project in a folder; return the exit code.

    Parameters
    ----------
    again : str
        The command that continues after a failure.
    """
    given = parse(arguments)
    root = (Path(given.project) if given.project else root).resolve()
    try:
        code = connect(given, root)
    except MlopsError as error:
        sys.stdout.flush()
        print(f"Error: {error}\nFix: {error.fix}", file=sys.stderr)
        code = error.exit_code
    except KeyboardInterrupt:
        print("\nInterrupted; what was done stays.", file=sys.stderr)
        code = INTERRUPTED
    if code:
        print(f"To continue: {again}", file=sys.stderr)
    return code


def parse(arguments: list[str]) -> argparse.Namespace:
    parser = argparse.ArgumentParser(
        "mlops connect",
        description="Connect this project to its CI platform and to Azure. Shows what is left to "
        "do, asks once, and can be run again at any time.",
        epilog="A webhook of Teams or Slack is read from MLOPS_WEBHOOK, or asked for. Exit codes: "
        "0 everything is connected, 1 something is not, 2 wrong usage or settings.",
    )
    add = parser.add_argument
    add("--dry-run", action="store_true", help="show every change, and change nothing")
    add("--yes", action="store_true", help=f"do not ask (also {AGREES}=1)")
    add(
        "--reviewer",
        action="append",
        default=[],
        metavar="WHO",
        help="who approves production; repeatable (default: you)",
    )
    add("--wait-timer", type=int, default=0, metavar="MINUTES", help="production waits this long")
    add("--public", action="store_true", help="create a public repository, not a private one")
    add("--no-wait", action="store_true", help="do not follow the run that builds Azure")
    add("--organization", default="", metavar="URL", help="the organization of Azure DevOps")
    add("--project", default="", metavar="FOLDER", help="the project's folder")
    return parser.parse_args(arguments)


def connect(given: argparse.Namespace, root: Path) -> int:
    """Show the changes, ask, and make them.

    Raises
    ------
    MlopsError
        Nothing could be begun.
    """
    settings = read_settings(root)
    choices = Choices(
        tuple(given.reviewer), given.wait_timer, given.public, not given.no_wait, given.organization
    )
    platform = platform_of(settings, Record(root), choices)
    print(f"{settings.name}: {platform.url} and Azure\n")
    platform.check_login()
    steps = platform.steps()
    count, unfinished = show_plan(steps)
    if given.dry_run:
        print(f"\nA dry run: {count or 'no'} changes, none of them made.")
        return 0
    if count:
        print()
        if not agrees("Make these changes?", given.yes or os.environ.get(AGREES) == "1"):
            print("Nothing was done.")
            return 0
        ask_for_webhook(given.yes)
        unfinished = carry_out(steps)
    if unfinished:
        show_unfinished(unfinished)
        return 1
    print(f"\n{platform.farewell() if count else 'Everything is connected.'}")
    return 0


def ask_for_webhook(silent: bool) -> None:
    """Ask for the webhook without showing it; it stays in this process."""
    if silent or os.environ.get(WEBHOOK) or not sys.stdin.isatty():
        return
    value = getpass.getpass("Webhook of Teams or Slack for approvals (Enter: none): ").strip()
    if value:
        os.environ[WEBHOOK] = value
