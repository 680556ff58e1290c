"""Names of imported objects: labels, stable, distinct."""

from __future__ import annotations

import re

import pytest
from hypothesis import given
from hypothesis import strategies as st

from portico_compiler.openapi.names import MAX_LABEL, model_name, part_name, route_name

LABEL = re.compile(r"[a-z0-9]([-a-z0-9]*[a-z0-9])?\Z")


@pytest.mark.parametrize(
    ("method", "path", "name"),
    [
        ("GET", "/", "api-get"),
        ("GET", "/pets", "api-get-pets"),
        ("ANY", "/a/b", "api-any-a-b"),
        ("ANY", "$default", "api-default"),
    ],
)
def test_plain_paths_need_no_digest(method: str, path: str, name: str) -> None:
    assert route_name("api", method, path) == name


def test_names_that_would_meet_are_told_apart() -> None:
    paths = ["/a/b", "/a-b", "/A/b", "/a/{b}", "/a/{b+}", "/a/b/", "/a//b", "/a_b", "/a.b", "/é"]
    names = {route_name("api", "GET", path) for path in paths}
    assert len(names) == len(paths)
    assert route_name("api", "GET", "/get") != route_name("api", "GET", "/")


def test_long_names_are_cut_and_stay_distinct() -> None:
    api = "a" * 60
    names = {route_name(api + tail, "GET", "/x") for tail in ("b", "c")}
    assert len(names) == 2
    assert all(len(name) <= MAX_LABEL for name in names)


@given(st.text(), st.sampled_from(["GET", "ANY"]))
def test_every_name_is_a_label(path: str, method: str) -> None:
    for name in (route_name("api", method, path), part_name("api", path)):
        assert LABEL.match(name)
        assert len(name) <= MAX_LABEL
    assert re.fullmatch(r"[A-Za-z0-9]+", model_name(method, path, path))
