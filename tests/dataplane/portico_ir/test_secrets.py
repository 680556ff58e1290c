"""A secret never shows itself."""

from __future__ import annotations

import copy
import pickle

import pytest

from portico_ir.secrets import SHOWN, Redacted


def test_it_prints_as_redacted_everywhere() -> None:
    secret = Redacted("hunter2")
    texts = [
        repr(secret),
        str(secret),
        f"{secret}",
        f"{secret!r:>20}",
        "{}".format(secret),  # noqa: UP032 - every way of printing one
        repr([secret]),
    ]
    assert all("hunter2" not in text and SHOWN in text for text in texts)


def test_reveal_is_the_one_way() -> None:
    assert Redacted("hunter2").reveal() == "hunter2"


def test_equality_and_hash_are_by_content() -> None:
    assert Redacted("a") == Redacted("a") != Redacted("b")
    assert len({Redacted("a"), Redacted("a")}) == 1
    assert Redacted("a") != "a"


def test_it_is_not_pickled() -> None:
    with pytest.raises(TypeError):
        pickle.dumps(Redacted("hunter2"))
    with pytest.raises(TypeError):
        copy.copy(Redacted("hunter2"))
