"""The trees of patterns; what they match is tested where they are matched."""

from __future__ import annotations

import pytest

from portico_ir.patterns import (
    EVERY,
    OTHER,
    Alternatives,
    Anchor,
    BadPattern,
    Chars,
    Look,
    Node,
    Repeated,
    Sequence,
    parse,
)


def char(text: str) -> Chars:
    return Chars(frozenset(text))


@pytest.mark.parametrize(
    ("pattern", "tree"),
    [
        ("a", char("a")),
        ("", Sequence(())),
        ("ab", Sequence((char("a"), char("b")))),
        ("a|b|", Alternatives((char("a"), char("b"), Sequence(())))),
        ("a{2,}", Repeated(char("a"), 2, None)),
        ("a{2}?", Repeated(char("a"), 2, 2)),
        ("^a$", Sequence((Anchor("^"), char("a"), Anchor("$")))),
        ("(?!a)", Look(char("a"), False)),
        ("(?<n>a)", char("a")),
        (r"\Qa*\E", Sequence((char("a"), char("*")))),
        ("[a-c]", char("abc")),
        (r"[\d-x]", Chars(frozenset("0123456789-x"))),
        ("[]a]", char("]a")),
        (r"[\w-]", Chars(frozenset(c for c in EVERY if c.isalnum()) | {"_", "-"})),
    ],
)
def test_trees(pattern: str, tree: Node) -> None:
    assert parse(pattern) == tree


def test_what_is_not_named_is_one_of_the_others() -> None:
    assert OTHER in parse("[^a]").chars  # type: ignore[union-attr]
    assert OTHER in parse(".").chars  # type: ignore[union-attr]
    assert OTHER not in parse(r"[\w\s]").chars  # type: ignore[union-attr]


def test_a_reason_is_given() -> None:
    with pytest.raises(BadPattern, match="a group is not closed"):
        parse("(a")
