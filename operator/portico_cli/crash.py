"""What a person sees of a bug: one line with a number, never a traceback.

Called by `main` for whatever a command did not expect and by `dev`, which goes on. The number
is made from the traceback, so that two reports of one bug can be told to be one.
"""

from __future__ import annotations

import hashlib
import os
import traceback

DEBUG = "PORTICO_DEBUG"
"""Environment variable; anything but empty shows tracebacks."""


def internal_error(error: BaseException) -> str:
    """The line to show; with PORTICO_DEBUG the traceback stands before it."""
    text = "".join(traceback.format_exception(error))
    number = hashlib.sha256(text.encode(errors="replace")).hexdigest()[:8]
    if os.environ.get(DEBUG):
        return f"{text}internal error {number}"
    return f"internal error, please report ({number}; {DEBUG}=1 shows what happened)"
