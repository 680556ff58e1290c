"""Every CEL rule beside its twin in the compiler: both refuse the same, and say the same."""

from __future__ import annotations

import re
from typing import Any

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from control_plane import ControlPlane
from crd_rows import GOOD, HTTP, REST, ROWS, Row, key
from kubernetes_api import GROUP_VERSION, Refused
from portico_compiler import routekeys, validation

PIECES = st.sampled_from(
    ["", "a", "{a}", "{b}", "{a+}", "{", "}", "{}", "{+}", ".", "..", "a.b", "%", "%4", "%41", "'"]
)


def document(kind: str, spec: dict[str, Any]) -> dict[str, Any]:
    metadata = (
        {"name": "one"} if kind == "PorticoClass" else {"name": "one", "namespace": "default"}
    )
    return {"apiVersion": GROUP_VERSION, "kind": kind, "metadata": metadata, "spec": spec}


def refusal(cluster: ControlPlane, kind: str, spec: dict[str, Any]) -> Refused | None:
    """What the API server says against it."""
    try:
        cluster.api.create(document(kind, spec), dry_run=True)
    except Refused as refused:
        return refused
    return None


def dotted(field: str) -> str:
    """A path as the compiler writes it: `functions.f`, where the API server has `functions[f]`."""
    return re.sub(r"\[([A-Za-z]\w*)\]", r".\1", field)


def said(message: str) -> str:
    """What the rule says, without the words that the API server puts before it.

    A rule that cannot compute which value it is says all but that, as the beginning of the same.
    """
    shown = r'(?:"(?:[^"\\]|\\.)*": |[0-9]+: )?'
    words = re.match(rf"(?:Invalid|Required) value: {shown}(.+)\Z", message, re.DOTALL)
    assert words, message
    return words[1]


@pytest.mark.parametrize("row", ROWS, ids=lambda row: f"{row.twin}-{row.kind}")
def test_both_refuse_with_the_same_words(cluster: ControlPlane, row: Row) -> None:
    faults = validation.read(row.kind, {"spec": row.spec}).faults
    assert len(faults) >= 1, "the compiler takes it"
    refused = refusal(cluster, row.kind, row.spec)
    assert refused is not None, f"the API server takes it, but: {faults}"
    assert refused.status == 422, refused
    if row.words:
        for fault in faults:
            assert any(
                fault.message.startswith(said(message)) and fault.field.startswith(dotted(field))
                for field, message in refused.causes
            ), (fault, refused.causes)
        assert len(refused.causes) == len(faults), refused.causes


@pytest.mark.parametrize(("kind", "spec"), GOOD)
def test_both_take_what_is_right(cluster: ControlPlane, kind: str, spec: dict[str, Any]) -> None:
    assert not validation.read(kind, {"spec": spec}).faults
    assert refusal(cluster, kind, spec) is None


@pytest.mark.parametrize(
    ("kind", "spec"),
    [
        ("RestApi", {"gatewayResponses": {"THROTTELD": {}}}),
        ("RestApi", {"models": {"with-dash": {}}}),
        ("Route", key("GET /").spec | {"methodResponses": {"2xx": {}}}),
        ("Stage", {"apiRef": REST, "stageName": "prod", "variables": {"a-b": "c"}}),
        ("Stage", {"apiRef": REST, "stageName": "prod", "variables": {"a" * 65: "c"}}),
        ("Stage", {"apiRef": REST, "stageName": "a b"}),
        ("Stage", {"apiRef": REST, "stageName": "a", "canarySettings": {"percentTraffic": 101}}),
        ("Stage", {"apiRef": REST, "stageName": "a", "canarySettings": {"percentTraffic": -1}}),
        ("Route", key("GET /").spec | {"authorizationType": "IAM"}),
        ("Route", key("").spec),
        ("Route", key("GET /").spec | {"integration": {"service": {"name": "a", "port": 0}}}),
        ("DomainName", {"domainNames": []}),
        ("DomainName", {"domainNames": ["no_host"]}),
    ],
)
def test_both_refuse_what_the_schema_says(
    cluster: ControlPlane, kind: str, spec: dict[str, Any]
) -> None:
    assert validation.read(kind, {"spec": spec}).faults
    assert refusal(cluster, kind, spec) is not None


@settings(max_examples=250, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(pieces=st.lists(PIECES, max_size=4), api=st.sampled_from([REST, HTTP]))
def test_any_route_key_is_taken_or_refused_by_both(
    cluster: ControlPlane, pieces: list[str], api: dict[str, str]
) -> None:
    text = f"GET /{'/'.join(pieces)}"
    parsed = routekeys.parse(text, "HttpApi" if api is HTTP else "RestApi")
    refused = refusal(cluster, "Route", key(text, api).spec)
    assert (refused is not None) == isinstance(parsed, str), (text, parsed, refused)
    # Python shows a text with a quote in it within other quotes.
    if refused is not None and len(refused.causes) == 1 and "'" not in text:
        assert said(refused.causes[0][1]) == parsed
