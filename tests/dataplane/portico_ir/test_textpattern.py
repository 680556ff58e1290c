"""Patterns of tokens mean what Java's mean, and no token makes one take long."""

from __future__ import annotations

import re

import pytest
from hypothesis import given
from hypothesis import strategies as st

from portico_ir.patterns import BadPattern
from portico_ir.textpattern import TextPattern

JWT = "eyJhbGciOiJSUzI1NiJ9.eyJzdWIiOiJ4In0.c2ln_-"


@pytest.mark.parametrize(
    ("pattern", "matching", "others"),
    [
        ("x-[a-z]+", ["x-a", "x-abc"], ["x-", "X-abc", "x-123", "ax-abc", "x-abc ", ""]),
        (r"^Bearer [-0-9a-zA-Z\.]*$", ["Bearer ", "Bearer a.b-c"], ["bearer a", "Bearer a_b"]),
        (r"^[\w-]+\.[\w-]+\.[\w-]+$", [JWT], [JWT + "\n", f"Bearer {JWT}", JWT[:20]]),
        (r"(Bearer )?[\w-]+(?:\.[\w-]+){2}", [JWT, f"Bearer {JWT}"], [f"Basic {JWT}", f"{JWT}.x"]),
        (r"[A-Za-z0-9]{20,64}", ["a" * 20, "b" * 64], ["a" * 19, "a" * 65, "a" * 63 + "-"]),
        (".*", ["", "anything", "Grüße"], ["two\nlines"]),
        ("", [""], ["a"]),
        ("^$", [""], ["a"]),
        (r"^(?!\s*$).+", ["a", " a "], ["", "  ", "\t"]),
        (r"(?=.*\d)[a-z\d]+", ["a1", "1"], ["abc", "A1"]),
        (r"(?i)bearer \w+", ["Bearer x", "BEARER X", "bearer x"], ["Basic x"]),
        (r"^a$|^b$", ["a", "b"], ["ab", ""]),
        ("[^a]", ["é", "b", "€"], ["a", "bb"]),
        ("é+[^e]", ["éa", "éé€", "éé"], ["é", "ée", "ea"]),
        (r"\QBearer.\E.", ["Bearer.x"], ["Bearerxx"]),
        (r"a{0}b{2}", ["bb"], ["abb", "b"]),
        (r"(a|b)*?c++", ["c", "abacc"], ["ab"]),
        (r"\p{Alpha}+\p{Upper}\p{Lower}", ["xYz"], ["xyz", "1Yz"]),
        (r"$a|a^|b", ["b"], ["a"]),
    ],
)
def test_the_whole_text_is_matched(pattern: str, matching: list[str], others: list[str]) -> None:
    """AWS §6.1."""
    made = TextPattern(pattern)
    assert [text for text in matching if not made.matches(text)] == []
    assert [text for text in others if made.matches(text)] == []
    # What a text taught it changes nothing.
    assert [text for text in matching if not made.matches(text)] == []
    assert [text for text in others if made.matches(text)] == []


@pytest.mark.parametrize(
    "pattern",
    [
        "(",
        "a(?=b)c",
        "a(?!b)",
        "(?=a(?=b))",
        r"\bword\b",
        r"(a)\1",
        "(a{100}){100}",
        "[",
        "x" * 600,
    ],
)
def test_bad_patterns(pattern: str) -> None:
    with pytest.raises(BadPattern):
        TextPattern(pattern)


@pytest.mark.parametrize(
    ("pattern", "text"),
    [
        ("(a+)+b", "a" * 10_000),
        ("(a|aa)+b", "a" * 10_000),
        ("(.*)*(.*)*(.*)*x", "y" * 10_000),
        (r"([-\w]+\.?)+@", "a." * 5_000),
        ("(a?){400}a{400}", "a" * 700),
        ("(.*a.{300})", "ab" * 5_000),
        ("(.?.?.?.?){200}", "z" * 10_000),
    ],
)
def test_texts_that_make_others_search_for_ever(pattern: str, text: str) -> None:
    """They end; Python's re does not come back from most of these."""
    TextPattern(pattern).matches(text)


def test_what_would_take_too_long_does_not_match() -> None:
    """Every state new: a token that does this to a pattern is refused."""
    chars = "ab"
    text = "".join(chars[(n * n + n // 3) % 2] for n in range(9_000))
    made = TextPattern("(a|b)*a(a|b){250}")
    assert made.matches(text[:600]) is (re.fullmatch("[ab]*a[ab]{250}", text[:600]) is not None)
    assert made.matches(text) in (True, False)


def test_what_is_remembered_is_bounded() -> None:
    made = TextPattern("[^x]*")
    for start in range(0x100, 0x11000, 512):
        assert made.matches("".join(map(chr, range(start, start + 512))))
    (_, automaton), *_ = made._rest
    assert automaton._remembered <= 65_536
    assert made.matches("abc")
    assert not made.matches("axc")


ATOMS = st.sampled_from(["a", "b", ".", r"\d", "[ab]", "[^a]", "[0-3]", "1"])
PATTERNS = st.recursive(
    ATOMS,
    lambda inner: (
        st.tuples(inner, inner).map("".join)
        | st.tuples(inner, inner).map(lambda two: f"(?:{two[0]}|{two[1]})")
        | st.tuples(inner, st.sampled_from(["*", "+", "?", "{2}", "{1,2}", "*?"])).map(
            lambda two: f"(?:{two[0]}){two[1]}"
        )
    ),
    max_leaves=6,
)


@given(PATTERNS, st.lists(st.text(alphabet="ab1é", max_size=6), max_size=8))
def test_as_the_standard_library_has_it(pattern: str, texts: list[str]) -> None:
    made = TextPattern(pattern)
    for text in texts:
        assert made.matches(text) is (re.fullmatch(pattern, text) is not None), (pattern, text)


@given(st.text(alphabet="ab1.*+?|()[]{}^$\\dD,-!:=", max_size=14), st.text(max_size=8))
def test_any_pattern_is_matched_or_refused(pattern: str, text: str) -> None:
    try:
        made = TextPattern(pattern)
    except BadPattern:
        return
    assert made.matches(text) in (True, False)
