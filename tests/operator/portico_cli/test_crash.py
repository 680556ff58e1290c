"""A bug is one line with a number; its traceback is for those who ask."""

from __future__ import annotations

import pytest

from portico_cli.crash import DEBUG, internal_error


def failure(message: str) -> Exception:
    try:
        raise RuntimeError(message)
    except RuntimeError as error:
        return error


def test_it_is_one_line_with_a_number(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delenv(DEBUG, raising=False)
    text = internal_error(failure("secret detail"))
    assert text.startswith("internal error, please report (")
    assert "\n" not in text
    assert "secret detail" not in text


def test_one_bug_has_one_number(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delenv(DEBUG, raising=False)
    assert internal_error(failure("a")) == internal_error(failure("a"))
    assert internal_error(failure("a")) != internal_error(failure("b"))


def test_the_traceback_is_for_those_who_ask(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv(DEBUG, "1")
    assert "RuntimeError: what happened" in internal_error(failure("what happened"))
