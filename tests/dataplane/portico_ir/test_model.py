"""The shapes of the contract: strict, frozen, and a default always means today's behaviour."""

from __future__ import annotations

import inspect
from typing import Any, get_args

import msgspec
import pytest

from portico_ir import access, model, policies
from portico_ir.codec import decode_endpoints, decode_manifest, decode_snapshot, decode_unit, encode
from portico_ir.model import (
    ApiKind,
    ApiUnit,
    Broken,
    DefaultMatch,
    Endpoint,
    EndpointSet,
    FromContext,
    FromLiteral,
    FromRequest,
    GatewayUnit,
    HttpProxy,
    HttpSegments,
    Integration,
    LambdaProxy,
    Listener,
    Manifest,
    Match,
    Mock,
    MockResponse,
    MockTemplate,
    ParameterMapping,
    RestSegments,
    Route,
    RoutesUnit,
    ServiceTarget,
    Snapshot,
    Source,
    Stage,
    Target,
    Unit,
    UrlTarget,
)
from portico_ir.policies import Cors, FailClosed, Struct
from portico_ir.secrets import Redacted

SHAPES: set[type[Struct]] = {
    shape
    for module in (model, access, policies)
    for _, shape in inspect.getmembers(module, inspect.isclass)
    if issubclass(shape, Struct) and shape is not Struct
}
UNIONS = {"unit": Unit, "match": Match, "target": Target, "from": Source, "type": Integration}
UNIONS |= {"policy": policies.PolicySpec, "authorizer": access.Authorizer}

ROUTE = Route(
    key="GET /a/{b}",
    match=RestSegments(method="GET", path="/a/{b}"),
    integration=HttpProxy(
        targets=(
            ServiceTarget(upstream="d/s:80", host="s", path="/x/{b}", weight=3),
            UrlTarget(url="https://h/{b}"),
        ),
        method="POST",
        mappings=(
            ParameterMapping(place="header", name="a", source=FromLiteral(value="x")),
            ParameterMapping(place="path", name="b", source=FromContext(name="stage")),
            ParameterMapping(
                place="querystring",
                name="c",
                source=FromRequest(place="header", name="d", multi=True),
            ),
        ),
    ),
    object="d/r",
    policies=(FailClosed(reason="no"),),
)
FULL: tuple[Unit, ...] = (
    GatewayUnit(listeners=(Listener(port=1),), trusted_proxies=("10.0.0.0/8",), sole_api="a"),
    ApiUnit(
        uid="u",
        api_id="a",
        kind=ApiKind.HTTP,
        name="n",
        namespace="ns",
        hosts=("h",),
        stages=(Stage(name="s", shards=("r",), variables={"a": "b"}),),
        cors=Cors(allow_origins=("*",)),
        broken="because",
    ),
    RoutesUnit(
        api="a",
        routes=(
            ROUTE,
            Route(key="$default", match=DefaultMatch(), integration=Broken(reason="x")),
            Route(
                key="ANY /f",
                match=HttpSegments(method="ANY", path="/f"),
                integration=LambdaProxy(
                    target=UrlTarget(url="http://f"), function="f", payload_format="2.0"
                ),
            ),
            Route(
                key="GET /m",
                match=RestSegments(method="GET", path="/m"),
                integration=Mock(
                    templates=(MockTemplate(content_type="a/b", status=200),),
                    responses=(MockResponse(pattern="", status=200, headers=(("a", "b"),)),),
                ),
            ),
        ),
    ),
)


@pytest.mark.parametrize("unit", FULL, ids=lambda unit: type(unit).__name__)
def test_units_there_and_back(unit: Unit) -> None:
    assert decode_unit(encode(unit)) == unit


def test_the_rest_there_and_back() -> None:
    manifest = Manifest(ir_version=1, units={"a": "b"}, build="1", marks={"Route": "7"})
    assert decode_manifest(encode(manifest)) == manifest
    addresses = EndpointSet(sequence=3, upstreams={"a": (Endpoint(host="h", port=1),), "b": ()})
    assert decode_endpoints(encode(addresses)) == addresses
    whole = Snapshot(manifest=manifest, endpoints=addresses)
    assert decode_snapshot(encode(whole)) == whole


# --- what holds for every shape -------------------------------------------------------------------


def sample(shape: type[Struct]) -> Struct:
    """One with nothing but what it cannot do without."""
    needed: dict[str, Any] = {}
    for field in msgspec.structs.fields(shape):
        if field.required:
            needed[field.name] = value_of(field.type)
    return shape(**needed)


def plain(value: Struct) -> dict[str, Any]:
    """As it travels."""
    shown: dict[str, Any] = msgspec.to_builtins(value, enc_hook=Redacted.reveal)
    return shown


def read(raw: dict[str, Any], shape: type[Struct]) -> Struct:
    """From what travelled."""
    return msgspec.convert(raw, shape, dec_hook=lambda _, text: Redacted(text))


def value_of(annotation: Any) -> Any:
    known: dict[Any, Any] = {
        str: "x",
        int: 1,
        float: 1.0,
        bool: True,
        Redacted: Redacted("x"),
        access.IdentitySource: access.IdentitySource(place="header", name="x"),
        Match: DefaultMatch(),
        Integration: Broken(reason="x"),
        Source: FromLiteral(value="x"),
        Target: UrlTarget(url="http://h"),
        ApiKind: ApiKind.REST,
        Manifest: Manifest(ir_version=1, units={}),
    }
    if annotation in known:
        return known[annotation]
    if args := get_args(annotation):
        origin = getattr(annotation, "__origin__", None)
        return () if origin is tuple else {} if origin is dict else args[0]
    raise AssertionError(f"no sample for {annotation}")


ORDERED: list[type[Struct]] = sorted(SHAPES, key=lambda shape: shape.__name__)
SAMPLES = pytest.mark.parametrize("shape", ORDERED, ids=lambda shape: shape.__name__)


@SAMPLES
def test_unknown_fields_are_refused(shape: type[Struct]) -> None:
    raw = plain(sample(shape))
    assert read(raw, shape) == sample(shape)
    with pytest.raises(msgspec.ValidationError):
        read({**raw, "from_the_future": 1}, shape)


@SAMPLES
def test_defaults_are_not_written(shape: type[Struct]) -> None:
    """So that an operator one version ahead does not freeze the fleet."""
    written = set(plain(sample(shape)))
    required = {field.encode_name for field in msgspec.structs.fields(shape) if field.required}
    tag = shape.__struct_config__.tag_field
    assert written == required | ({tag} if tag else set())


@SAMPLES
def test_they_are_frozen_and_by_value(shape: type[Struct]) -> None:
    one, two = sample(shape), sample(shape)
    assert one == two
    for field in msgspec.structs.fields(shape):
        with pytest.raises(AttributeError):
            setattr(one, field.name, getattr(one, field.name))


@SAMPLES
def test_what_is_needed_is_asked_for(shape: type[Struct]) -> None:
    raw = plain(sample(shape))
    tag = shape.__struct_config__.tag_field
    for name in raw:
        if name != tag:
            rest = {key: value for key, value in raw.items() if key != name}
            with pytest.raises(msgspec.ValidationError):
                read(rest, shape)


@pytest.mark.parametrize(("field", "union"), UNIONS.items(), ids=UNIONS)
def test_unions_are_told_by_a_tag(field: str, union: Any) -> None:
    members = get_args(union)
    assert {member.__struct_config__.tag_field for member in members} == {field}
    assert len({member.__struct_config__.tag for member in members}) == len(members)
    with pytest.raises(msgspec.ValidationError):
        msgspec.convert({field: "from_the_future"}, union)
    with pytest.raises(msgspec.ValidationError):
        msgspec.convert({}, union)


# --- defaults that mean something -----------------------------------------------------------------


def test_a_gateway_permits_nothing_by_default() -> None:
    unit = GatewayUnit()
    assert not unit.egress_open
    assert unit.egress_allow == unit.trusted_proxies == ()
    assert not unit.local_paths
    assert unit.sole_api == ""


def test_a_route_s_defaults_are_aws_s() -> None:
    proxy = HttpProxy(targets=())
    call = LambdaProxy(target=UrlTarget(url="http://h"), function="f")
    assert proxy.timeout_ms == call.timeout_ms == 29_000
    assert proxy.max_request_body == call.max_request_body == Mock().max_request_body == 10485760
    assert (proxy.method, proxy.preserve_host, call.payload_format) == ("", False, "1.0")
    assert Mock().passthrough == "WHEN_NO_MATCH"


def test_a_target_takes_its_share_by_default() -> None:
    assert ServiceTarget(upstream="a", host="b").weight == UrlTarget(url="c").weight == 1


@pytest.mark.parametrize(
    "raw",
    [
        {"port": "80"},
        {"port": 80, "protocol": "gopher"},
        {"port": 1.5},
        {"port": None},
    ],
)
def test_wrong_types_are_refused(raw: dict[str, Any]) -> None:
    with pytest.raises(msgspec.ValidationError):
        msgspec.convert(raw, Listener)


def test_targets_can_be_keys() -> None:
    """Equal targets share one prepared form."""
    one = ServiceTarget(upstream="a", host="b", path="/{c}")
    assert {one: 1}[ServiceTarget(upstream="a", host="b", path="/{c}")] == 1
    assert hash(ROUTE) == hash(msgspec.structs.replace(ROUTE))
