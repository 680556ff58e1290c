"""A memo forgets what was not used, and everything under other settings."""

from __future__ import annotations

from portico_compiler.memo import Memo, Shelf
from portico_compiler.world import Settings


def test_a_shelf_forgets_what_one_compile_did_not_keep() -> None:
    shelf: Shelf[str, int] = Shelf()
    shelf.keep("a", 1)
    shelf.keep("b", 2)
    shelf.turn()
    assert shelf.get("a") == 1
    assert shelf.keep("a", 1) == 1
    shelf.turn()
    assert shelf.get("a") == 1
    assert shelf.get("b") is None


def test_this_compile_comes_first() -> None:
    shelf: Shelf[str, int] = Shelf()
    shelf.keep("a", 1)
    shelf.turn()
    shelf.keep("a", 2)
    assert shelf.get("a") == 2


def test_other_settings_forget_everything() -> None:
    memo = Memo()
    memo.open(Settings())
    memo.shelf("x").keep("a", 1)
    memo.close()
    memo.open(Settings())
    assert memo.shelf("x").get("a") == 1
    memo.open(Settings(marks={"Route": "17"}, build="2"))
    assert memo.shelf("x").get("a") == 1
    memo.open(Settings(region="eu-west-1"))
    assert memo.shelf("x").get("a") is None
