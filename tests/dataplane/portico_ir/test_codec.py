"""Bytes of the contract: deterministic, strict, and nothing but `Undecodable`."""

from __future__ import annotations

import msgspec
import pytest
from hypothesis import given
from hypothesis import strategies as st

from portico_ir import codec
from portico_ir.model import (
    ApiKind,
    ApiUnit,
    Endpoint,
    EndpointSet,
    HttpProxy,
    Manifest,
    Mock,
    RestSegments,
    Route,
    RoutesUnit,
    Snapshot,
    Stage,
    UrlTarget,
)
from portico_ir.policies import Cors, FailClosed

ROUTES = RoutesUnit(
    api="api/default/RestApi/shop",
    routes=(
        Route(
            key="GET /a",
            match=RestSegments(method="GET", path="/a"),
            integration=HttpProxy(targets=(UrlTarget(url="http://b.example/a"),)),
            policies=(FailClosed(reason="not built"),),
        ),
    ),
)
API = ApiUnit(
    uid="u",
    api_id="abc",
    kind=ApiKind.REST,
    name="shop",
    namespace="default",
    stages=(Stage(name="$default", variables={"b": "2", "a": "1"}),),
    cors=Cors(allow_origins=("*",)),
)


@pytest.mark.parametrize("unit", [ROUTES, API], ids=["routes", "api"])
def test_there_and_back(unit: RoutesUnit | ApiUnit) -> None:
    assert codec.decode_unit(codec.encode(unit)) == unit


def test_the_order_of_a_dict_does_not_matter() -> None:
    one = Manifest(ir_version=1, units={"a": "1", "b": "2"})
    two = Manifest(ir_version=1, units={"b": "2", "a": "1"})
    assert codec.encode(one) == codec.encode(two)


def test_defaults_are_not_written_so_that_an_older_reader_can_read() -> None:
    assert codec.encode(Manifest(ir_version=1, units={})) == b'{"ir_version":1,"units":{}}'


def test_equal_values_have_equal_bytes_whatever_objects_they_are_made_of() -> None:
    plain = HttpProxy(targets=(UrlTarget(url="http://a"),))
    same = HttpProxy(
        targets=(UrlTarget(url="http://a", weight=int("1")),),
        timeout_ms=int("29000"),
        max_request_body=int("10485760"),
        method="".join([]),
    )

    def unit(integration: HttpProxy) -> RoutesUnit:
        match = RestSegments(method="GET", path="/")
        return RoutesUnit(api="a", routes=(Route(key="k", match=match, integration=integration),))

    assert plain == same
    assert codec.encode(unit(plain)) == codec.encode(unit(same))
    assert b"timeout" not in codec.encode(unit(same))


def test_a_snapshot_keeps_the_bytes_of_its_units() -> None:
    raw = codec.encode(ROUTES)
    manifest = Manifest(ir_version=1, units={"r": codec.digest(raw)})
    endpoints = EndpointSet(upstreams={"x": (Endpoint(host="127.0.0.1", port=1),)})
    document = codec.encode(
        Snapshot(manifest=manifest, units={"r": msgspec.Raw(raw)}, endpoints=endpoints)
    )
    read = codec.decode_snapshot(document)
    assert codec.digest(read.units["r"]) == manifest.units["r"]
    assert codec.decode_unit(read.units["r"]) == ROUTES
    assert read.endpoints == endpoints


@pytest.mark.parametrize(
    "raw",
    [
        b"",
        b"{",
        b"[]",
        b'{"unit":"nonsense"}',
        b'{"unit":"routes","api":"a","surprise":1}',
        b'{"unit":"routes","api":1}',
        b'{"unit":"routes","api":"a","routes":[{"key":"k","match":{"match":"rest","method":"GET",'
        b'"path":"/"},"integration":{"type":"mock"},"policies":[{"policy":"unheard_of"}]}]}',
        b"\xff\xfe",
        b'{"unit":"routes","api":"\xff"}',
    ],
)
def test_what_is_not_a_unit_is_refused(raw: bytes) -> None:
    with pytest.raises(codec.Undecodable):
        codec.decode_unit(raw)


@given(st.binary(max_size=200))
def test_nothing_else_is_raised(raw: bytes) -> None:
    for decode in (
        codec.decode_unit,
        codec.decode_manifest,
        codec.decode_snapshot,
        codec.decode_endpoints,
    ):
        try:
            decode(raw)
        except codec.Undecodable:
            pass


def test_deep_nesting_is_refused() -> None:
    with pytest.raises(codec.Undecodable):
        codec.decode_unit(b'{"unit":' + b"[" * 100_000)


def test_every_field_says_what_it_is() -> None:
    """Design: every field of the contract has a sentence (a string right behind it)."""
    import ast
    import inspect

    from portico_ir import model, policies

    for module in (model, policies):
        for node in ast.parse(inspect.getsource(module)).body:
            if not isinstance(node, ast.ClassDef):
                continue
            assert ast.get_docstring(node), node.name
            for field, behind in zip(node.body, [*node.body[1:], None], strict=True):
                if isinstance(field, ast.AnnAssign):
                    said = isinstance(behind, ast.Expr) and isinstance(behind.value, ast.Constant)
                    assert said, f"{module.__name__}.{node.name}: {ast.unparse(field)}"


def test_a_mock_without_anything_is_small() -> None:
    assert msgspec.json.encode(Mock()) == b'{"type":"mock"}'
