"""Why a route does or does not take a request, in words: `portico explain`, design §2.

That what is said to match is what the router finds is checked by the comparison with the
rules in test_router.py.
"""

from __future__ import annotations

from portico_ir.model import ApiKind
from routers import router_of

REST, HTTP = ApiKind.REST, ApiKind.HTTP


def test_explain_says_why_for_every_route() -> None:
    keys = [
        "GET /pets/{id}",
        "ANY /pets/{petId}",
        "POST /pets/{id}",
        "GET /pets/{id}/toys",
        "GET /dogs/{id}",
        "GET /pets",
        "ANY /{proxy+}",
        "GET /pets/1/{rest+}",
    ]
    found = [
        (considered.value, considered.matched, considered.why)
        for considered in router_of(REST, keys).explain("GET", "/pets/1")
    ]
    assert found[0] == ("GET /pets/{id}", True, "matched")
    assert {value: why for value, _, why in found[1:]} == {
        "ANY /pets/{petId}": "less specific than GET /pets/{id}",
        "ANY /{proxy+}": "less specific than GET /pets/{id}",
        "POST /pets/{id}": "method POST ≠ GET",
        "GET /pets/{id}/toys": "too few segments: 2 where 3 are needed",
        "GET /dogs/{id}": "segment 1: literal 'dogs' ≠ 'pets'",
        "GET /pets": "too many segments: 2 where 1 are taken",
        "GET /pets/1/{rest+}": "nothing is left for {rest+}",
    }
    assert found[-1][0] == "GET /dogs/{id}"
    assert found[3][0] == "POST /pets/{id}"


def test_explain_refused_paths_and_methods() -> None:
    rest = router_of(REST, ["ANY /a"])
    assert rest.explain("PROPFIND", "/a")[0].why == (
        "method PROPFIND is not one of those that ANY takes"
    )
    assert rest.explain("GET", "/..")[0].why == "the path is refused: a '..' segment"
    assert rest.explain("GET", "*")[0].why == "the path is refused: it does not start with '/'"
    http = router_of(HTTP, ["GET /a/{x}", "$default"])
    assert [(one.value, one.why) for one in http.explain("GET", "/a/")] == [
        ("$default", "matched"),
        ("GET /a/{x}", "segment 2: a variable takes no empty segment"),
    ]
    assert http.explain("GET", "/a/1")[1].why == "less specific than GET /a/{x}"
