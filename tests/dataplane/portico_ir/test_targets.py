"""Targets: what stands for nothing said, and that they are told apart."""

from __future__ import annotations

import msgspec
import pytest

from portico_ir.targets import ServiceTarget, Target, UrlTarget


def test_a_service_takes_the_clients_path_by_default() -> None:
    found = ServiceTarget(upstream="d/s:80", host="s.d.svc.cluster.local:80")
    assert (found.scheme, found.path, found.append_path, found.weight) == ("http", "", False, 1)
    assert found.cluster_ip == ""


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
