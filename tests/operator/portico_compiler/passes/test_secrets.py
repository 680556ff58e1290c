"""Secrets for credentials: found, permitted, read as the API server reads them."""

from __future__ import annotations

import base64

from access_worlds import secret
from portico_compiler.inventory import Document
from portico_compiler.memo import Memo
from portico_compiler.passes.accept import accept
from portico_compiler.passes.secrets import contents, ends_in_line_break
from worlds import of_raws


def document(**data: str) -> Document:
    raw = secret("s", text="plain")
    raw["data"] = data
    world, problems = of_raws([raw])
    assert not problems
    (found,) = accept(world.objects, Memo())
    return found


def test_base64_and_text() -> None:
    encoded = base64.b64encode(b"\x00\xff").decode()
    assert contents(document(raw=encoded)) == {"raw": b"\x00\xff", "text": b"plain"}


def test_text_wins() -> None:
    assert contents(document(text=base64.b64encode(b"other").decode()))["text"] == b"plain"


def test_what_is_no_base64_is_told_apart_from_nothing() -> None:
    found = contents(document(bad="%%%", empty=""))
    assert found["bad"] is None
    assert found["empty"] == b""


def test_line_breaks() -> None:
    assert ends_in_line_break(b"a\n")
    assert ends_in_line_break(b"a\r")
    assert not ends_in_line_break(b"\na")
