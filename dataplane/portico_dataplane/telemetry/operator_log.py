"""The log for operators: one JSON object a line on standard error.

Configured once per process by `__main__` and `workers/worker.py`; everything else just uses
`logging`. Promises: one line per record whatever a message holds; `extra` fields become
members; secrets print as `[redacted]` because they are `Redacted` where they come from.
"""

from __future__ import annotations

import json
import logging
import sys
from datetime import UTC, datetime
from typing import Any, Final

_STANDARD: Final = frozenset(
    vars(logging.LogRecord("", 0, "", 0, "", None, None)) | {"message": "", "asctime": ""}
)


class JsonFormatter(logging.Formatter):
    """A record as JSON: time, level, process, logger, message, extras, exception."""

    def __init__(self, process: str) -> None:
        super().__init__()
        self._process = process

    def format(self, record: logging.LogRecord) -> str:
        """One line."""
        moment = datetime.fromtimestamp(record.created, UTC)
        line: dict[str, Any] = {
            "time": moment.isoformat(timespec="milliseconds").replace("+00:00", "Z"),
            "level": record.levelname.lower(),
            "process": self._process,
            "logger": record.name,
            "message": record.getMessage(),
        }
        for name, value in vars(record).items():
            if name not in _STANDARD and name not in line:
                line[name] = value
        if record.exc_info:
            line["exception"] = self.formatException(record.exc_info)
        return json.dumps(line, default=str, ensure_ascii=False)


def configure(level: str, process: str) -> None:
    """Send this process's log records of `level` and above to standard error."""
    handler = logging.StreamHandler(sys.stderr)
    handler.setFormatter(JsonFormatter(process))
    root = logging.getLogger()
    root.handlers[:] = [handler]
    root.setLevel(level.upper())
    # A scrape is not an event, and asyncio's debug lines are not for operators.
    logging.getLogger("asyncio").setLevel("WARNING")
    # A handler that cannot write (standard error closed) must not print tracebacks about it.
    logging.raiseExceptions = False
