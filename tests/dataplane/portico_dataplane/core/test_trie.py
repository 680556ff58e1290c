"""How paths are cut and where routes stand: AWS §3.2, §4.2."""

from __future__ import annotations

import pytest

from portico_dataplane.core.trie import (
    NO_LITERALS,
    Entry,
    Methods,
    Node,
    Pattern,
    cutter,
    exact_path,
    parse_pattern,
)
from portico_ir.model import ApiKind

REST, HTTP = ApiKind.REST, ApiKind.HTTP


@pytest.mark.parametrize(
    ("path", "rest", "http"),
    [
        ("/", [], [""]),
        ("/a", ["a"], ["a"]),
        ("/a/", ["a"], ["a", ""]),
        ("//a//b//", ["a", "", "b"], ["", "a", "", "b", "", ""]),
        ("/a%2Fb", ["a%2Fb"], ["a%2Fb"]),
    ],
)
def test_paths_are_cut_by_kind(path: str, rest: list[str], http: list[str]) -> None:
    assert cutter(REST)(path) == rest
    assert cutter(HTTP)(path) == http


@pytest.mark.parametrize(
    ("path", "pattern"),
    [
        ("/", Pattern((), (), None)),
        ("/a/b", Pattern(("a", "b"), (), None)),
        ("/a/{x}/b/{y}", Pattern(("a", None, "b", None), (("x", 1), ("y", 3)), None)),
        ("/a/{x}/{p+}", Pattern(("a", None), (("x", 1),), "p")),
        ("/{p+}", Pattern((), (), "p")),
        # What the compiler refuses does no harm here: such a segment is a literal or a name.
        ("/a{x}/x{y}z", Pattern(("a{x}", "x{y}z"), (), None)),
        ("/{", Pattern(("{",), (), None)),
        ("/{}", Pattern((None,), (("", 0),), None)),
        ("/{p+}/a", Pattern((None, "a"), (("p+", 0),), None)),
    ],
)
def test_patterns(path: str, pattern: Pattern) -> None:
    assert parse_pattern(REST, path) == pattern


@pytest.mark.parametrize(
    ("kind", "path", "exact"),
    [
        (REST, "/", "/"),
        (REST, "/a/b/", "/a/b"),
        (HTTP, "/a/b/", "/a/b/"),
        (HTTP, "/", "/"),
        # These are looked at segment by segment, after decoding.
        (REST, "/a%20b", ""),
        (REST, "/caf\u00e9", ""),
        (REST, "/.well-known", ""),
        (REST, "/{x}", ""),
        (REST, "/a/{p+}", ""),
    ],
)
def test_only_plain_literals_are_looked_up_as_they_are(
    kind: ApiKind, path: str, exact: str
) -> None:
    assert exact_path(parse_pattern(kind, path)) == exact


def test_methods_are_copied_not_changed() -> None:
    first, second = Entry("a", (), None), Entry("b", (), None)
    before = Methods({"GET": first}, None)
    after = before.with_entry("ANY", second)
    assert after is not None
    assert before.any is None
    assert after.entry("ANY") is second
    assert after.entry("GET") is first
    assert after.entry("PUT") is None
    emptied = before.with_entry("GET", None)
    assert emptied is None
    assert before.entry("GET") is first


def test_a_copy_shares_no_dict() -> None:
    node: Node[str] = Node("first")
    copy = node.copy("second")
    assert copy.literals is NO_LITERALS  # nothing to copy yet
    node.literals = {"a": Node("first")}
    other = node.copy("second")
    other.literals["b"] = Node("second")
    assert list(node.literals) == ["a"]
    assert (node.owner, other.owner) == ("first", "second")
    assert not node.is_empty()
    assert copy.is_empty()
    assert not NO_LITERALS
