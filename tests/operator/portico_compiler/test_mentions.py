"""Mentions: found wherever they stand, in the namespace they mean."""

from __future__ import annotations

from typing import Any

from hypothesis import given
from hypothesis import strategies as st

from portico_compiler.mentions import Mentions, namespace_of


def test_what_a_document_names() -> None:
    found = Mentions("own")
    found.walk(
        [
            {"service": {"name": "pets"}},
            {"backends": [{"service": {"name": "x", "namespace": "other"}}]},
            {"deep": {"caRef": {"name": "ca", "namespace": "certs"}, "secretRef": {"name": "s"}}},
            {"selector": {}},
        ]
    )
    assert found.services == {"own", "other"}
    assert found.secrets == {("certs", "ca"), ("own", "s")}
    assert found.labels


def test_a_truststore_may_be_either_kind() -> None:
    found = Mentions("own")
    found.walk({"mutualTlsAuthentication": {"truststoreRef": {"name": "a", "namespace": "b"}}})
    found.walk({"certificateRef": {"name": "tls"}})
    assert found.secrets == {("b", "a"), ("own", "tls")}
    assert found.config_maps == {("b", "a")}


def test_authorities_of_backends_may_be_either_kind() -> None:
    found = Mentions("own")
    tls = {"caRef": {"name": "ca"}, "clientCertificateRef": {"name": "shown", "namespace": "b"}}
    found.walk({"integration": {"tlsConfig": tls}})
    assert found.secrets == {("own", "ca"), ("b", "shown")}
    assert found.config_maps == {("own", "ca")}


def test_a_namespace_that_is_none_means_its_own() -> None:
    for reference in ({}, {"namespace": ""}, {"namespace": 7}, None, "text"):
        assert namespace_of(reference, "own") == "own"
    assert namespace_of({"namespace": "other"}, "own") == "other"


JSON = st.recursive(
    st.none() | st.integers() | st.text(max_size=5),
    lambda inner: (
        st.lists(inner, max_size=3)
        | st.dictionaries(st.sampled_from(["service", "caRef", "name", "namespace"]), inner)
    ),
    max_leaves=15,
)


@given(JSON)
def test_no_document_raises(document: Any) -> None:
    Mentions("own").walk(document)


def test_depth_is_bounded() -> None:
    document: Any = {"service": {"name": "pets"}}
    for _ in range(5000):
        document = {"x": document}
    found = Mentions("own")
    found.walk(document)
    assert not found.services
