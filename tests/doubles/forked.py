"""Ends a forked process the way Python itself ends."""

import os
import sys
import traceback
from collections.abc import Callable
from typing import NoReturn


def end_after(program: Callable[[], object]) -> NoReturn:
    """Run a program, then exit with its exit code."""
    code = 1
    try:
        program()
        code = 0
    except SystemExit as end:
        if end.code is None or isinstance(end.code, int):
            code = end.code or 0
        else:
            print(end.code, file=sys.stderr)
    except BaseException:  # noqa: BLE001 -- as Python does at exit
        traceback.print_exc()
    finally:
        sys.stdout.flush()
        sys.stderr.flush()
        os._exit(code)
