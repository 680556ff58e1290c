"""The log: one JSON object a line."""

from __future__ import annotations

import json
import logging
import sys

from portico_ir.secrets import Redacted
from portico_operator.log import JsonFormatter


def line(message: str, *arguments: object, **extra: object) -> dict[str, object]:
    record = logging.LogRecord("a.b", logging.WARNING, "", 0, message, arguments, None)
    vars(record).update(extra)
    text = JsonFormatter().format(record)
    assert "\n" not in text
    decoded: dict[str, object] = json.loads(text)
    return decoded


def test_members() -> None:
    found = line("of %s\nlines", "two", objects=3)
    assert found["level"] == "warning"
    assert found["process"] == "operator"
    assert found["message"] == "of two\nlines"
    assert found["objects"] == 3


def test_secrets_and_kopfs_own_members() -> None:
    found = line("x", token=Redacted("hidden"), settings=object(), k8s_ref={"a": 1})
    assert found["token"] == "[redacted]"
    assert "settings" not in found
    assert "k8s_ref" not in found


def test_exceptions_stay_on_the_line() -> None:
    try:
        raise ValueError("bad")
    except ValueError:
        record = logging.LogRecord("a", logging.ERROR, "", 0, "x", (), sys.exc_info())
    assert "ValueError: bad" in json.loads(JsonFormatter().format(record))["exception"]
