"""The operator's log: one JSON object a line on standard error.

Configured once by `__main__`; everything else uses `logging`. In the shape of the data plane's,
so that one query reads both. Promises: one line a record whatever a message holds; `extra` fields
become members; secrets print as `[redacted]` because they are `Redacted` where they come from.
"""

from __future__ import annotations

import json
import logging
import sys
from datetime import UTC, datetime
from typing import Any, Final

_STANDARD: Final = frozenset(
    vars(logging.LogRecord("", 0, "", 0, "", None, None))
    | {"message": "", "asctime": "", "taskName": ""}
)
_KOPFS_OWN: Final = frozenset({"settings", "k8s_ref", "k8s_skip"})
"""Members that kopf puts on its records: whole objects of its own."""


class JsonFormatter(logging.Formatter):
    """A record as JSON: time, level, process, logger, message, extras, exception."""

    def format(self, record: logging.LogRecord) -> str:
        """One line."""
        moment = datetime.fromtimestamp(record.created, UTC)
        line: dict[str, Any] = {
            "time": moment.isoformat(timespec="milliseconds").replace("+00:00", "Z"),
            "level": record.levelname.lower(),
            "process": "operator",
            "logger": record.name,
            "message": record.getMessage(),
        }
        for name, value in vars(record).items():
            if name not in _STANDARD and name not in _KOPFS_OWN and name not in line:
                line[name] = value
        if record.exc_info:
            line["exception"] = self.formatException(record.exc_info)
        return json.dumps(line, default=str, ensure_ascii=False)


def configure(level: str) -> None:
    """Send log records of `level` and above to standard error."""
    handler = logging.StreamHandler(sys.stderr)
    handler.setFormatter(JsonFormatter())
    root = logging.getLogger()
    root.handlers[:] = [handler]
    root.setLevel(level.upper())
    # kopf tells of every watch and every handler; what matters of it is a warning.
    for chatty in ("asyncio", "kopf", "aiohttp.access"):
        logging.getLogger(chatty).setLevel("WARNING")
    # A handler that cannot write (standard error closed) must not print tracebacks about it.
    logging.raiseExceptions = False
