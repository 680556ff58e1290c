"""Which route a request reaches: AWS §3.2 (REST), §4.2 (HTTP), design §6.3.

The last part compares the trie with a matcher written from the rules alone: every route is
held against the request, and the most specific of those that match is taken.
"""

from __future__ import annotations

import itertools
from collections.abc import Iterable

import pytest
from hypothesis import given
from hypothesis import strategies as st

from portico_dataplane.core.router import Found, Miss, Router, RouterBuilder
from portico_ir.model import ApiKind
from routers import match_of, router_of

REST, HTTP = ApiKind.REST, ApiKind.HTTP


def ask(router: Router[str], request: str) -> tuple[str, dict[str, str]] | str:
    method, _, path = request.partition(" ")
    answer = router.find(method, path)
    if isinstance(answer, Miss):
        return answer.value
    return answer.value, answer.parameters


def reached(kind: ApiKind, keys: Iterable[str], request: str) -> str:
    """The key of the route that takes the request, or why none does, in any order of adding."""
    keys = list(keys)
    answers = set()
    for ordered in (keys, keys[::-1]):
        answer = ask(router_of(kind, ordered), request)
        answers.add(answer if isinstance(answer, str) else answer[0])
    (answer,) = answers
    return answer


SIBLINGS = ["POST /test", "ANY /test/any", "OPTIONS /{proxy+}"]
PARTS = ["GET /part1", "GET /part1/hardcoded-value", "GET /{param+}"]
JOBS = ["GET /jobs/{operation_type}", "OPTIONS /cors_only", "ANY /{proxy+}"]


@pytest.mark.parametrize(
    ("keys", "request_line", "expected"),
    [
        # Literal > {var} > {var+} at each level, left to right (AWS §3.2.1).
        (["GET /a", "GET /{x}", "GET /{p+}"], "GET /a", "GET /a"),
        (["GET /a", "GET /{x}", "GET /{p+}"], "GET /b", "GET /{x}"),
        (["GET /a", "GET /{x}", "GET /{p+}"], "GET /a/b", "GET /{p+}"),
        (["GET /a/{p+}", "GET /{x}/b"], "GET /a/b", "GET /a/{p+}"),
        (["GET /a/{x}/c", "GET /a/b/{y}"], "GET /a/b/c", "GET /a/b/{y}"),
        (["GET /{x}/b/c", "GET /a/{y}/d"], "GET /a/b/c", "GET /{x}/b/c"),
        # The method takes part and the router goes back (AWS §3.2.2).
        (SIBLINGS, "OPTIONS /test", "OPTIONS /{proxy+}"),
        (SIBLINGS, "POST /test", "POST /test"),
        (SIBLINGS, "GET /test", "not found"),
        (PARTS, "GET /part1/random", "GET /{param+}"),
        (PARTS, "GET /part1", "GET /part1"),
        (JOBS, "GET /jobs", "ANY /{proxy+}"),
        (JOBS, "POST /jobs/reboot", "ANY /{proxy+}"),
        (JOBS, "GET /jobs/reboot", "GET /jobs/{operation_type}"),
        (["GET /users/{id}", "PATCH /users/me"], "GET /users/me", "GET /users/{id}"),
        (["GET /a/b/c/d", "GET /{w}/{x}/{y}/e"], "GET /a/b/c/e", "GET /{w}/{x}/{y}/e"),
        # ANY on a more specific resource beats an explicit method on a greedy one (§3.2.3).
        (SIBLINGS, "OPTIONS /test/any", "ANY /test/any"),
        (["ANY /{x}", "GET /{p+}"], "GET /a", "ANY /{x}"),
        (["ANY /a", "GET /a"], "GET /a", "GET /a"),
        (["ANY /a", "GET /a"], "PUT /a", "ANY /a"),
        (["ANY /a/{p+}", "GET /a/{p+}"], "GET /a/b", "GET /a/{p+}"),
        # ANY is seven methods; HEAD is not implied by GET (§3.2.4).
        (["ANY /a"], "HEAD /a", "ANY /a"),
        (["ANY /a"], "PROPFIND /a", "not found"),
        (["ANY /{p+}"], "TRACE /a", "not found"),
        (["GET /a"], "HEAD /a", "not found"),
        # Slashes (§3.2.5).
        (["GET /a"], "GET /a/", "GET /a"),
        (["GET /a/"], "GET /a", "GET /a/"),
        (["GET /a"], "GET //a", "GET /a"),
        (["GET /a"], "GET ///a//", "GET /a"),
        (["GET /a/b"], "GET /a//b", "not found"),
        (["GET /a/{x}/b"], "GET /a//b", "not found"),
        (["GET /"], "GET /", "GET /"),
        (["GET /"], "GET ", "GET /"),
        (["GET /"], "GET //", "GET /"),
        # A greedy variable needs a segment (§3.2.6), a plain one takes exactly one.
        (["ANY /{p+}"], "GET /", "not found"),
        (["GET /a/{p+}"], "GET /a", "not found"),
        (["GET /a/{p+}"], "GET /a/", "not found"),
        (["GET /pets/{id}"], "GET /pets/1/2", "not found"),
        (["GET /pets/{id}"], "GET /pets", "not found"),
        # Case counts; a request's segments are decoded once.
        (["GET /Pets"], "GET /pets", "not found"),
        (["GET /pets"], "GET /%70ets", "GET /pets"),
        (["GET /a/b"], "GET /a%2Fb", "not found"),
        (["GET /{x}"], "GET /a%2Fb", "GET /{x}"),
        (["GET /a b"], "GET /a%2520b", "not found"),
        (["GET /a b"], "GET /a%20b", "GET /a b"),
        (["GET /caf\u00e9"], "GET /caf%C3%A9", "GET /caf\u00e9"),
        (["GET /.well-known/x"], "GET /.well-known/x", "GET /.well-known/x"),
        # Not in origin form.
        (["GET /{x}"], "GET *", "not found"),
        (["GET /*"], "GET *", "not found"),
    ],
)
def test_rest(keys: list[str], request_line: str, expected: str) -> None:
    assert reached(REST, keys, request_line) == expected


PETS = [
    "GET /pets/dog/1",
    "GET /pets/dog/{id}",
    "GET /pets/{proxy+}",
    "ANY /{proxy+}",
    "$default",
]


@pytest.mark.parametrize(
    ("keys", "request_line", "expected"),
    [
        # The worked example of AWS §4.2.
        (PETS, "GET /pets/dog/1", "GET /pets/dog/1"),
        (PETS, "GET /pets/dog/2", "GET /pets/dog/{id}"),
        (PETS, "GET /pets/cat/1", "GET /pets/{proxy+}"),
        (PETS, "POST /test/5", "ANY /{proxy+}"),
        (PETS, "POST /pets/dog/1", "ANY /{proxy+}"),
        (PETS, "GET /", "$default"),
        # A full match goes before a greedy one, wherever the greedy one stands.
        (["GET /a/{p+}", "GET /{x}/b"], "GET /a/b", "GET /{x}/b"),
        (["GET /a/{p+}", "ANY /{x}/{y}"], "GET /a/b", "ANY /{x}/{y}"),
        (["GET /a/{p+}", "POST /{x}/b"], "GET /a/b", "GET /a/{p+}"),
        # Static before variable, explicit before ANY on the same path only.
        (["ANY /pets/dog", "GET /pets/{id}"], "GET /pets/dog", "ANY /pets/dog"),
        (["ANY /pets", "GET /pets"], "GET /pets", "GET /pets"),
        (["ANY /pets", "GET /pets"], "DELETE /pets", "ANY /pets"),
        (["GET /a/{x}/{p+}", "GET /a/{p+}"], "GET /a/b/c", "GET /a/{x}/{p+}"),
        (["GET /a/{x}/{p+}", "GET /a/{p+}"], "GET /a/b", "GET /a/{p+}"),
        (["ANY /a/{p+}", "GET /{p+}"], "GET /a/b", "ANY /a/{p+}"),
        # $default takes the rest; without it the answer is 404.
        (["GET /pets", "$default"], "POST /pets", "$default"),
        (["GET /pets", "$default"], "BREW /pets", "$default"),
        (["GET /pets"], "GET /other", "not found"),
        ([], "GET /", "not found"),
        # Every slash counts.
        (["GET /pets"], "GET /pets/", "not found"),
        (["GET /pets/"], "GET /pets/", "GET /pets/"),
        (["GET /pets/"], "GET /pets", "not found"),
        (["GET /pets"], "GET //pets", "not found"),
        (["GET /pets/{id}"], "GET /pets/", "not found"),
        (["GET /pets/{p+}"], "GET /pets/", "not found"),
        (["GET /pets/{p+}"], "GET /pets", "not found"),
        (["GET /"], "GET ", "GET /"),
        (["GET /pets"], "GET /%70ets", "GET /pets"),
        (["GET /Pets"], "GET /pets", "not found"),
    ],
)
def test_http(keys: list[str], request_line: str, expected: str) -> None:
    assert reached(HTTP, keys, request_line) == expected


@pytest.mark.parametrize(
    ("kind", "key", "request_line", "parameters"),
    [
        # The table of AWS §3.2.5.
        (REST, "GET /{proxy+}", "GET /proxy-value", {"proxy": "proxy-value"}),
        (REST, "GET /{proxy+}", "GET /proxy-value/", {"proxy": "proxy-value"}),
        (REST, "GET /{proxy+}", "GET /a//b", {"proxy": "a//b"}),
        (REST, "GET /{proxy+}", "GET //proxy-value", {"proxy": "proxy-value"}),
        (REST, "GET /{p+}", "GET /x/t%2Ba@g.c/t+a", {"p": "x/t%2Ba@g.c/t+a"}),
        (REST, "GET /x/{p+}", "GET /x//b", {"p": "/b"}),
        # Values stay percent-encoded.
        (REST, "GET /{x}", "GET /a%20b%2Fc", {"x": "a%20b%2Fc"}),
        (REST, "GET /{x}/b/{y}", "GET /1/b/2/", {"x": "1", "y": "2"}),
        (REST, "GET /{x}/{p+}", "GET /1/2/3", {"x": "1", "p": "2/3"}),
        (REST, "GET /a/b", "GET /a/b", {}),
        (HTTP, "GET /a/{rest+}", "GET /a/b/c/d", {"rest": "b/c/d"}),
        (HTTP, "GET /a/{rest+}", "GET /a/b/", {"rest": "b/"}),
        (HTTP, "GET /{p+}", "GET //x", {"p": "/x"}),
        (HTTP, "GET /{x}/{y}", "GET /%E2%98%95/1", {"x": "%E2%98%95", "y": "1"}),
        (HTTP, "$default", "GET /a", {}),
    ],
)
def test_parameters_are_raw(
    kind: ApiKind, key: str, request_line: str, parameters: dict[str, str]
) -> None:
    assert ask(router_of(kind, [key]), request_line) == (key, parameters)


@pytest.mark.parametrize("kind", [REST, HTTP])
@pytest.mark.parametrize(
    "path", ["/a/..", "/./a", "/%2e%2e/a", "/a/%zz", "/%ff", "/..%2fa", "/a/%", "/\u00e9"]
)
def test_a_bad_path_is_refused_before_anything_matches(kind: ApiKind, path: str) -> None:
    keys = ["ANY /{proxy+}", "GET /a/..", "GET /./a"] + (["$default"] if kind is HTTP else [])
    assert ask(router_of(kind, keys), f"GET {path}") == "bad path"


def test_routes_that_share_a_place_keep_their_own_names() -> None:
    router = router_of(REST, ["GET /u/{id}", "POST /u/{user}", "GET /u/{uid}/x"])
    assert ask(router, "GET /u/1") == ("GET /u/{id}", {"id": "1"})
    assert ask(router, "POST /u/1") == ("POST /u/{user}", {"user": "1"})
    assert ask(router, "GET /u/1/x") == ("GET /u/{uid}/x", {"uid": "1"})


def test_static_routes_share_one_answer() -> None:
    router = router_of(REST, ["GET /a", "ANY /b"])
    assert router.find("GET", "/a") is router.find("GET", "/a")
    assert router.find("PUT", "/b") is router.find("GET", "/b")


def test_adding_the_same_key_again_replaces_it() -> None:
    builder: RouterBuilder[int] = RouterBuilder(HTTP)
    for key in ("GET /a", "GET /{x}", "GET /{p+}", "$default"):
        builder.add(match_of(HTTP, key), 1)
        builder.add(match_of(HTTP, key.replace("x", "y").replace("p+", "q+")), 2)
    router = builder.build()
    assert len(router) == 4
    for path in ("/a", "/b", "/c/d", "/"):
        answer = router.find("GET", path)
        assert isinstance(answer, Found)
        assert answer.value == 2


@pytest.mark.parametrize("kind", [REST, HTTP])
def test_an_edit_leaves_the_router_it_started_from_alone(kind: ApiKind) -> None:
    keys = ["GET /a/b", "ANY /a/b", "GET /a/{x}", "GET /a/{p+}", "GET /"]
    old = router_of(kind, keys)
    builder = RouterBuilder.from_router(old)
    for key in keys:
        assert builder.remove(match_of(kind, key))
        assert not builder.remove(match_of(kind, key))
    emptied = builder.build()
    builder.add(match_of(kind, "GET /z"), "z")
    later = builder.build()
    assert len(old) == 5
    assert [ask(old, f"GET {path}") for path in ("/a/b", "/a/c", "/a/b/c", "/")] == [
        ("GET /a/b", {}),
        ("GET /a/{x}", {"x": "c"}),
        ("GET /a/{p+}", {"p": "b/c"}),
        ("GET /", {}),
    ]
    assert len(emptied) == 0
    assert emptied.root.is_empty()
    assert ask(emptied, "GET /a/b") == ask(emptied, "GET /z") == "not found"
    assert ask(later, "GET /z") == ("z", {})


def test_removing_the_explicit_method_uncovers_any() -> None:
    builder = RouterBuilder.from_router(router_of(REST, ["GET /a", "ANY /a"]))
    assert builder.remove(match_of(REST, "GET /a"))
    assert ask(builder.build(), "GET /a") == ("ANY /a", {})


def test_an_edit_copies_only_the_branch_that_it_changes() -> None:
    old = router_of(REST, [f"GET /api{i}/x/{{id}}" for i in range(50)])
    builder = RouterBuilder.from_router(old)
    builder.add(match_of(REST, "GET /api7/x/{id}"), "new")
    new = builder.build()
    changed = [
        name for name, node in new.root.literals.items() if node is not old.root.literals[name]
    ]
    assert changed == ["api7"]


class CountingSegment(str):
    """A path segment that counts how often a dict asks for its hash: once per node visited."""

    visits = 0
    __slots__ = ()

    def __hash__(self) -> int:
        CountingSegment.visits += 1
        return str.__hash__(self)

    __eq__ = str.__eq__


@pytest.mark.parametrize("kind", [REST, HTTP])
def test_no_node_is_visited_twice_whatever_the_path(kind: ApiKind) -> None:
    """Every mixture of literal and variable, eight levels deep, each with a greedy end, and a
    path that fails at the last segment of all: the worst there is for a router that goes back.
    The bound is the number of nodes, not two to the power of the client's segments."""
    depth = 8
    builder: RouterBuilder[str] = RouterBuilder(kind)
    for parts in itertools.product(("a", "{x}"), repeat=depth):
        builder.add(match_of(kind, "POST /" + "/".join(parts) + "/end"), "")
    for level in range(depth):
        builder.add(match_of(kind, "POST /" + "a/" * level + "{p+}"), "")
    router = builder.build()
    nodes = 2 ** (depth + 1) - 1
    for path in (["a"] * depth + ["z"], ["a"] * depth, ["a"] * 2000):
        segments = [CountingSegment(part) for part in path]
        CountingSegment.visits = 0
        answer = router._walk("GET", True, list(path), list(segments))
        assert answer is Miss.NOT_FOUND
        assert CountingSegment.visits <= nodes


def test_very_deep_routes_and_paths_end() -> None:
    router = router_of(REST, ["GET " + "/a" * 4000, "GET " + "/{x}" * 4000])
    assert reached(REST, ["GET " + "/a" * 4000], "GET " + "/a" * 3999) == "not found"
    assert ask(router, "GET " + "/a" * 3999 + "/b") != "not found"
    assert router.explain("GET", "/a")[0].matched is False


# --- against the rules, read route by route ---------------------------------------------------

SEVEN = ("DELETE", "GET", "HEAD", "OPTIONS", "PATCH", "POST", "PUT")


def rule_segments(kind: ApiKind, path: str) -> list[str]:
    if kind is REST:
        stripped = path.lstrip("/").rstrip("/")
        return stripped.split("/") if stripped else []
    return path[1:].split("/")


def rule_rank(kind: ApiKind, key: str, method: str, segments: list[str]) -> tuple | None:
    """How specific the route is for the request; None when it does not match. Least is best."""
    route_method, _, route_path = key.partition(" ")
    if route_method == "ANY":
        if kind is REST and method not in SEVEN:
            return None
    elif route_method != method:
        return None
    ranks = []
    pattern = rule_segments(kind, route_path)
    is_greedy = bool(pattern) and pattern[-1].endswith("+}")
    if is_greedy:
        if not "/".join(segments[len(pattern) - 1 :]):
            return None
    elif len(pattern) != len(segments):
        return None
    for part, segment in zip(pattern, segments, strict=False):
        if part.endswith("+}"):
            ranks.append(2)
        elif part.startswith("{"):
            if segment == "":
                return None
            ranks.append(1)
        elif part == segment:
            ranks.append(0)
        else:
            return None
    order = (tuple(ranks), route_method == "ANY")
    return order if kind is REST else (is_greedy, *order)


def rule_answer(kind: ApiKind, keys: list[str], method: str, path: str) -> str:
    segments = rule_segments(kind, path)
    ranked = []
    for key in keys:
        rank = None if key == "$default" else rule_rank(kind, key, method, segments)
        if rank is not None:
            ranked.append((rank, key))
    if ranked:
        return min(ranked)[1]
    return "$default" if "$default" in keys else "not found"


PART = st.sampled_from(["a", "b", "c", "{v}"])


@st.composite
def keys_of(draw: st.DrawFn, kind: ApiKind) -> str:
    method = draw(st.sampled_from(["GET", "POST", "ANY"]))
    parts = draw(st.lists(PART, max_size=4))
    if draw(st.booleans()):
        parts.append("{p+}")
    slash = "/" if kind is HTTP and parts and parts[-1] != "{p+}" and draw(st.booleans()) else ""
    return f"{method} /{'/'.join(parts)}{slash}"


PATHS = st.lists(st.sampled_from(["a", "b", "c", "d", ""]), max_size=6).map(
    lambda parts: "/" + "/".join(parts)
)


@pytest.mark.parametrize("kind", [REST, HTTP])
@given(data=st.data())
def test_the_trie_agrees_with_the_rules(kind: ApiKind, data: st.DataObject) -> None:
    keys = data.draw(st.lists(keys_of(kind), max_size=25, unique=True))
    if kind is HTTP and data.draw(st.booleans()):
        keys.append("$default")
    removed = data.draw(st.lists(st.sampled_from(keys), unique=True) if keys else st.just([]))
    builder = RouterBuilder.from_router(router_of(kind, keys))
    for key in removed:
        assert builder.remove(match_of(kind, key))
    kept = [key for key in keys if key not in removed]
    router = builder.build()
    assert len(router) == len(kept)
    for _ in range(5):
        method = data.draw(st.sampled_from(["GET", "POST", "PUT", "LOCK"]))
        path = data.draw(PATHS)
        answer = ask(router, f"{method} {path}")
        expected = rule_answer(kind, kept, method, path)
        assert (answer if isinstance(answer, str) else answer[0]) == expected
        explained = [one.value for one in router.explain(method, path) if one.matched]
        assert explained == ([] if expected == "not found" else [expected])
        # The same path with a letter escaped reaches the same route, without the fast path.
        escaped = path.replace("a", "%61")
        again = ask(router, f"{method} {escaped}")
        assert (again if isinstance(again, str) else again[0]) == expected
