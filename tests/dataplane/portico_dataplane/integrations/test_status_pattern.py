"""Patterns over statuses mean what Java's mean, and none takes long."""

from __future__ import annotations

import re

import pytest
from hypothesis import given
from hypothesis import strategies as st

from portico_dataplane.integrations.status_pattern import STATUSES, BadPattern, matching_statuses

# These mean the same to Python's re, which is the judge.
SHARED = [
    r"4\d{2}",
    r"\d{3}",
    "404",
    "404|5..",
    ".*",
    ".+",
    "",
    "[45].*",
    "[^2][0-9]+",
    r"^2\d\d$",
    "(4|5)(0[0-4]|1)+",
    "(?!404)4..",
    "(?=5).*3",
    "(?:1?2?){2}3",
    "4*0*4*",
    "[0-24-9]..",
    "[]4-]..",
    r"[\d]{1,3}",
    r"\b404\b",
    r"4\B0\B4",
    r"\A4..\Z",
    r"\w\D*\d\d",
    "4.?",
    "x*|500",
    "40{1}4",
    "2|20|200",
    "(((4)))..",
    "4..|",
    ".*?4.*?",
    r"\S\S\S",
    r"4\s*04",
    "5.{0,2}",
]


@pytest.mark.parametrize("pattern", SHARED)
def test_the_whole_status_is_matched(pattern: str) -> None:
    """AWS §3.10."""
    wanted = {status for status in STATUSES if re.fullmatch(pattern, str(status))}
    assert matching_statuses(pattern) == wanted


@pytest.mark.parametrize(
    ("pattern", "wanted"),
    [
        (r"\Q404\E", {404}),
        (r"\Q4\E\d\Q4", {status for status in STATUSES if str(status)[::2] == "44"}),
        (r"\p{Digit}{3}", set(STATUSES)),
        (r"\P{Digit}.*", set()),
        (r"(?<kind>4)04", {404}),
        (r"\d++", set(STATUSES)),
        (r"(?>404)", {404}),
        (r"[\d-x]0[4-]", {status for status in STATUSES if status % 100 == 4}),
        ("4..\\z", {status for status in STATUSES if 400 <= status <= 499}),
    ],
)
def test_what_only_java_knows(pattern: str, wanted: set[int]) -> None:
    assert matching_statuses(pattern) == wanted


@pytest.mark.parametrize(
    "pattern",
    [
        "(",
        ")",
        "[",
        "[4",
        "4{",
        "4{x}",
        "4{2,1}",
        "4{1,2,3}",
        "*4",
        "+",
        "?",
        "a**",
        "\\",
        r"(\d)\1",
        "(?<=4)0",
        "(?<!4)0",
        "(?i)x",
        "(?",
        "(?<",
        "(?<n",
        "(?<>4)",
        r"\p",
        r"\p{Lu}",
        r"\p{",
        "[9-0]",
        "[a[b]]",
        "[a&&b]",
        r"\y",
        "4{99999999999}",
        "(" * 60 + ")" * 60,
        "4" * 600,
    ],
)
def test_bad_patterns(pattern: str) -> None:
    with pytest.raises(BadPattern):
        matching_statuses(pattern)


@pytest.mark.parametrize(
    "pattern",
    [
        r"((\d?){99}){99}x",
        r"(\d*)*(\d*)*(\d*)*x",
        "(" * 40 + r"\d*" + ")*" * 40 + "x",
        r"(\d|\d\d|\d?)*" * 30 + "x",
        r"(\d?){1000000000}",
        "(.?.?.?){999,}x",
    ],
)
def test_patterns_that_make_others_search_for_ever(pattern: str) -> None:
    """They end; how soon is not asserted. Python's re does not come back from most of these."""
    assert matching_statuses(pattern) in (frozenset(), frozenset(STATUSES))


@given(st.text(alphabet="0123459.*+?|()[]{}^$\\dD,-!:=", max_size=14))
def test_any_pattern_is_matched_or_refused(pattern: str) -> None:
    try:
        found = matching_statuses(pattern)
    except BadPattern:
        return
    assert found <= frozenset(STATUSES)


ATOMS = st.sampled_from(["4", "0", "5", ".", r"\d", "[45]", "[^4]", "[0-3]"])
PATTERNS = st.recursive(
    ATOMS,
    lambda inner: (
        st.tuples(inner, inner).map("".join)
        | st.tuples(inner, inner).map(lambda two: f"(?:{two[0]}|{two[1]})")
        | st.tuples(inner, st.sampled_from(["*", "+", "?", "{2}", "{1,2}", "*?"])).map(
            lambda two: f"(?:{two[0]}){two[1]}"
        )
        | inner.map(lambda one: f"(?={one})")
        | inner.map(lambda one: f"(?!{one})")
    ),
    max_leaves=6,
)


@given(PATTERNS)
def test_as_the_standard_library_has_it(pattern: str) -> None:
    wanted = {status for status in STATUSES if re.fullmatch(pattern, str(status))}
    assert matching_statuses(pattern) == wanted
