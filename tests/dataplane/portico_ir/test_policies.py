"""Policies as data: a closed union, strict, so that what is not known cannot open a route."""

from __future__ import annotations

from typing import get_args

import msgspec
import pytest

from portico_ir.policies import Cors, FailClosed, PolicySpec, Struct

decode = msgspec.json.Decoder(PolicySpec).decode


@pytest.mark.parametrize(
    ("raw", "policy"),
    [
        (b'{"policy":"cors"}', Cors()),
        (
            b'{"policy":"cors","allow_origins":["https://a"],"max_age":-1,"allow_credentials":true}',
            Cors(allow_origins=("https://a",), max_age=-1, allow_credentials=True),
        ),
        (b'{"policy":"fail_closed","reason":"x"}', FailClosed(reason="x")),
    ],
)
def test_policies_are_told_by_their_tag(raw: bytes, policy: PolicySpec) -> None:
    assert decode(raw) == policy
    assert decode(msgspec.json.encode(policy)) == policy


@pytest.mark.parametrize(
    "raw",
    [
        b"{}",
        b"null",
        b"[]",
        b'{"policy":""}',
        b'{"policy":"Cors"}',
        b'{"policy":"from_the_future"}',
        b'{"policy":"cors","surprise":1}',
        b'{"policy":"cors","allow_origins":"*"}',
        b'{"policy":"cors","max_age":"5"}',
        b'{"policy":"cors","allow_credentials":1}',
        b'{"policy":"fail_closed"}',
        b'{"reason":"x"}',
    ],
)
def test_what_is_not_known_is_an_error(raw: bytes) -> None:
    with pytest.raises(msgspec.MsgspecError):
        decode(raw)


def test_tags_are_apart_and_short() -> None:
    policies = get_args(PolicySpec)
    tags = [policy.__struct_config__.tag for policy in policies]
    assert len(set(tags)) == len(policies)
    assert {policy.__struct_config__.tag_field for policy in policies} == {"policy"}


def test_the_default_is_no_permission() -> None:
    """A CORS policy without anything allows nobody."""
    assert msgspec.json.encode(Cors()) == b'{"policy":"cors"}'
    assert Cors().allow_origins == ()
    assert not Cors().allow_credentials


def test_they_are_frozen_and_by_value() -> None:
    policy = Cors(allow_origins=("*",))
    with pytest.raises(AttributeError):
        policy.max_age = 5  # type: ignore[misc]
    assert {policy, Cors(allow_origins=("*",))} == {policy}


def test_what_every_shape_has_in_common() -> None:
    config = Struct.__struct_config__
    assert config.frozen
    assert config.omit_defaults
    assert config.forbid_unknown_fields
