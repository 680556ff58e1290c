"""One JSON object a line, whatever is logged."""

from __future__ import annotations

import json
import logging
import sys
from collections.abc import Iterator

import pytest

from portico_dataplane.telemetry.operator_log import JsonFormatter, configure
from portico_ir.secrets import Redacted


@pytest.fixture
def logging_as_before() -> Iterator[None]:
    root = logging.getLogger()
    handlers, level, raising = root.handlers[:], root.level, logging.raiseExceptions
    yield
    root.handlers[:] = handlers
    root.setLevel(level)
    logging.raiseExceptions = raising


def formatted(message: str, *args: object, **extra: object) -> dict[str, object]:
    record = logging.LogRecord("portico.x", logging.WARNING, "f", 1, message, args, None)
    vars(record).update(extra)
    line = JsonFormatter("worker-1").format(record)
    assert "\n" not in line
    found = json.loads(line)
    assert isinstance(found, dict)
    return found


def test_a_record_has_its_members() -> None:
    line = formatted("%s of %d", "two", 3, worker="worker-0", refused={"u": "why"})

    assert line["level"] == "warning"
    assert line["process"] == "worker-1"
    assert line["logger"] == "portico.x"
    assert line["message"] == "two of 3"
    assert line["worker"] == "worker-0"
    assert line["refused"] == {"u": "why"}
    assert str(line["time"]).endswith("Z")


def test_a_message_cannot_forge_a_line() -> None:
    assert formatted("a\n{}\u2028")["message"] == "a\n{}\u2028"


def test_secrets_and_foreign_objects_are_shown_as_they_print() -> None:
    line = formatted("m", secret=Redacted("hunter2"), other=object)

    assert line["secret"] == "[redacted]"
    assert "object" in str(line["other"])


def test_extras_do_not_overwrite_what_every_line_has() -> None:
    assert formatted("m", level="fatal", time="never")["level"] == "warning"


def test_an_exception_is_a_member() -> None:
    try:
        raise ValueError("broken")
    except ValueError:
        record = logging.LogRecord("x", logging.ERROR, "f", 1, "m", (), sys.exc_info())

    line = JsonFormatter("p").format(record)
    assert "\n" not in line
    assert "ValueError: broken" in json.loads(line)["exception"]


@pytest.mark.usefixtures("logging_as_before")
def test_the_level_holds(capsys: pytest.CaptureFixture[str]) -> None:
    configure("warning", "supervisor")
    logging.getLogger("portico.y").info("quiet")
    logging.getLogger("portico.y").warning("loud")

    (line,) = capsys.readouterr().err.splitlines()
    assert json.loads(line)["message"] == "loud"
