"""Runs a command that ends when `portico dev` does, however that ends.

Called by `processes` as a script of its own (`python tether.py PARENT COMMAND…`): it asks
Linux for a SIGTERM at the parent's death, then becomes the command. Elsewhere it only
becomes the command. Standard library alone, because it starts without site-packages.
"""

from __future__ import annotations

import ctypes
import os
import signal
import sys

_PR_SET_PDEATHSIG = 1


def main(arguments: list[str]) -> int:
    """Become the command; returns only when that cannot be."""
    parent, command = int(arguments[0]), arguments[1:]
    if sys.platform == "linux":
        ctypes.CDLL(None).prctl(_PR_SET_PDEATHSIG, signal.SIGTERM)
        if os.getppid() != parent:
            return 1
    try:
        os.execvp(command[0], command)
    except OSError as error:
        print(f"{command[0]}: {error.strerror}", file=sys.stderr)
        return 127


if __name__ == "__main__":
    raise SystemExit(main(sys.argv[1:]))
