"""References: found wherever they stand, in the namespace they mean."""

from __future__ import annotations

from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from portico_operator.references import NONE, References, references

SERVICE = {"name": "pets", "port": 80}


@pytest.mark.parametrize(
    ("kind", "spec", "wanted"),
    [
        ("Route", {"integration": {"service": SERVICE}}, References(frozenset({"own"}))),
        (
            "Route",
            {"integration": {"backends": [{"service": {**SERVICE, "namespace": "other"}}]}},
            References(frozenset({"other"})),
        ),
        (
            "RestApi",
            {"functions": {"f": {"service": SERVICE}, "g": {"url": "http://x.example"}}},
            References(frozenset({"own"})),
        ),
        ("Route", {"integration": {"url": "http://x.example"}}, NONE),
        (
            "ApiKey",
            {"secretRef": {"name": "key"}},
            References(secrets=frozenset({("own", "key")})),
        ),
        (
            "IamUser",
            {"accessKeys": [{"secretRef": {"name": "a"}}, {"secretRef": {"name": "b"}}]},
            References(secrets=frozenset({("own", "a"), ("own", "b")})),
        ),
        (
            "DomainName",
            {"certificateRef": {"name": "tls", "namespace": "certs"}},
            References(secrets=frozenset({("certs", "tls")})),
        ),
        ("ApiDeployment", {"apiRef": {"name": "x"}}, References(revisions=frozenset({"own"}))),
        ("Stage", {"deploymentRef": {"name": "d"}}, References(revisions=frozenset({"own"}))),
        (
            "Stage",
            {"canarySettings": {"deploymentRef": {"name": "d"}}},
            References(revisions=frozenset({"own"})),
        ),
        ("Stage", {"stageName": "prod"}, NONE),
        (
            "ApiDeployment",
            {"apiRef": {"name": "x", "namespace": "apis"}, "revisionRef": {"name": "r"}},
            References(frozenset({"apis"}), revisions=frozenset({"apis", "own"})),
        ),
        (
            "Stage",
            {"apiRef": {"name": "x", "namespace": "apis"}, "deploymentRef": {"name": "d"}},
            References(revisions=frozenset({"apis"})),
        ),
        (
            "PorticoClass",
            {"allowedDomains": [{"domains": ["a.b"], "namespaceSelector": {}}]},
            References(labels=True),
        ),
        ("PorticoClass", {"allowedDomains": [{"domains": ["a.b"]}]}, NONE),
        (
            "DomainName",
            {"allowedMappings": {"namespaces": "Selector", "selector": {"matchLabels": {}}}},
            References(labels=True),
        ),
        ("DomainName", {"allowedMappings": {"namespaces": "All"}}, NONE),
    ],
)
def test_what_a_spec_names(kind: str, spec: Any, wanted: References) -> None:
    assert references(kind, "own", {"spec": spec}) == wanted


def test_a_revision_says_what_it_names_beside_its_content() -> None:
    data = {"services": ["", "other"], "secrets": [{"name": "ca"}], "content": "compressed"}
    found = references("ControllerRevision", "own", {"data": data})
    assert found == References(frozenset({"own", "other"}), frozenset({("own", "ca")}))
    assert references("ControllerRevision", "own", {"data": {"content": "a part"}}) is NONE
    assert references("ControllerRevision", "own", {"data": {"service": {}}}) is NONE


JSON = st.recursive(
    st.none() | st.booleans() | st.integers() | st.text(max_size=5),
    lambda inner: (
        st.lists(inner, max_size=3)
        | st.dictionaries(
            st.sampled_from(["service", "secretRef", "name", "namespace", "spec", "x"]),
            inner,
            max_size=4,
        )
    ),
    max_leaves=20,
)


@given(st.sampled_from(["Route", "Stage", "ApiDeployment", "ControllerRevision"]), JSON)
def test_no_document_raises(kind: str, body: Any) -> None:
    references(kind, "own", body)


def test_depth_is_bounded() -> None:
    body: Any = {"service": SERVICE}
    for _ in range(5000):
        body = {"x": body}
    assert references("Route", "own", body) == NONE
