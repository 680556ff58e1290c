"""Targets: what stands for nothing said, and that they are told apart."""

from __future__ import annotations

import msgspec
import pytest

from portico_ir import codec
from portico_ir.domains import Certificate
from portico_ir.secrets import Redacted
from portico_ir.targets import ServiceTarget, Target, UpstreamTls, UrlTarget


def test_a_service_takes_the_clients_path_by_default() -> None:
    found = ServiceTarget(upstream="d/s:80", host="s.d.svc.cluster.local:80")
    assert (found.scheme, found.path, found.append_path, found.weight) == ("http", "", False, 1)
    assert found.cluster_ip == found.tls == ""


def test_terms_of_tls_are_named_by_what_they_say() -> None:
    shown = Certificate(chain="c", key=Redacted("k"))
    every = [
        UpstreamTls(),
        UpstreamTls(server_name="a"),
        UpstreamTls(authorities="a"),
        UpstreamTls(any_authority=True),
        UpstreamTls(certificate=shown),
        UpstreamTls(certificate=Certificate(chain="c", key=Redacted("l"))),
    ]
    assert len({codec.tls_key(terms) for terms in every}) == len(every)
    again = UpstreamTls(certificate=Certificate(chain="c", key=Redacted("k")))
    assert codec.tls_key(again) == codec.tls_key(UpstreamTls(certificate=shown))
    assert "k'" not in repr(again)
    assert len({again, UpstreamTls(certificate=shown)}) == 1


def test_equal_targets_are_one_key() -> None:
    """A thousand routes to one Service are one upstream."""
    assert len({UrlTarget(url="http://h"), UrlTarget(url="http://h", weight=1)}) == 1


@pytest.mark.parametrize(
    "target", [UrlTarget(url="http://h"), ServiceTarget(upstream="u", host="h")]
)
def test_they_travel_by_their_tag(target: Target) -> None:
    raw = msgspec.json.encode(target)
    assert msgspec.json.decode(raw, type=Target) == target
    with pytest.raises(msgspec.ValidationError):
        msgspec.json.decode(raw.replace(b'"target":"', b'"target":"x'), type=Target)
