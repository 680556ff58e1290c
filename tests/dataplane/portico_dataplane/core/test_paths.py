"""Cutting and decoding of paths: design §6.3 and §13, AWS §3.2."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from portico_dataplane.core.paths import BadPath, decode, decode_segment, split


@pytest.mark.parametrize(
    ("path", "segments"),
    [
        ("/", ("",)),
        ("", ("",)),
        ("/a", ("a",)),
        ("/a/", ("a", "")),
        ("/a//b", ("a", "", "b")),
        ("/a%2Fb/c", ("a%2Fb", "c")),
    ],
)
def test_split_cuts_at_raw_slashes_only(path: str, segments: tuple[str, ...]) -> None:
    assert split(path) == segments


@pytest.mark.parametrize(
    ("raw", "text"),
    [
        ("", ""),
        ("plain", "plain"),
        ("a%20b", "a b"),
        ("a+b", "a+b"),
        ("a%2Bb", "a+b"),
        ("a%2fb", "a/b"),
        ("%E2%98%95", "☕"),
        ("caf\u00c3\u00a9", "café"),
        ("%25", "%"),
        ("%252e%252e", "%2e%2e"),
        ("...", "..."),
        ("..a", "..a"),
        ("a..", "a.."),
        (".well-known", ".well-known"),
        ("v1..v2", "v1..v2"),
    ],
)
def test_a_segment_is_decoded_once(raw: str, text: str) -> None:
    assert decode_segment(raw) == text


@pytest.mark.parametrize("raw", ["%", "%4", "%zz", "%4g", "a%", "%u00e9", "%%41", "%+1"])
def test_broken_escapes_are_refused(raw: str) -> None:
    assert decode_segment(raw) == BadPath("invalid percent-encoding")


@pytest.mark.parametrize("raw", ["%ff", "%C0%AE", "%ED%A0%80", "%E2%98", "\u00e9", "☕"])
def test_what_is_not_utf8_is_refused(raw: str) -> None:
    assert decode_segment(raw) == BadPath("not UTF-8 after decoding")


@pytest.mark.parametrize(
    "raw", [".", "..", "%2e", "%2E%2e", ".%2e", "..%2Fadmin", "a%2f..", "a%2F..%2Fb", "..%5Ca"]
)
def test_dot_segments_are_refused_however_they_are_written(raw: str) -> None:
    answer = decode_segment(raw)
    assert isinstance(answer, BadPath)
    assert answer.reason.endswith("segment")


def test_one_bad_segment_refuses_the_path() -> None:
    assert decode(["a%20b", "c"]) == ["a b", "c"]
    assert decode(["a", "%zz"]) == BadPath("invalid percent-encoding")


@given(st.text(alphabet=st.characters(max_codepoint=255)))
def test_any_text_is_decoded_or_refused(raw: str) -> None:
    assert isinstance(decode_segment(raw), str | BadPath)
