"""Who may call, as data: defaults are the strictest reading, secrets do not show themselves."""

from __future__ import annotations

import msgspec
import pytest

from portico_ir import codec
from portico_ir.access import (
    ApiKey,
    Authorizer,
    FunctionAuthorizer,
    IdentitySource,
    JwtAuthorizer,
    Signer,
    Statement,
)
from portico_ir.model import SignersUnit
from portico_ir.secrets import Redacted
from portico_ir.targets import UrlTarget

SOURCE = IdentitySource(place="header", name="Authorization")


@pytest.mark.parametrize(
    "authorizer",
    [
        JwtAuthorizer(name="d/j", issuers=("https://i",), source=SOURCE),
        FunctionAuthorizer(name="d/f", kind="TOKEN", target=UrlTarget(url="http://h")),
    ],
    ids=lambda authorizer: type(authorizer).__name__,
)
def test_authorizers_travel_by_their_tag(authorizer: Authorizer) -> None:
    raw = msgspec.json.encode(authorizer)
    assert msgspec.json.decode(raw, type=Authorizer) == authorizer


def test_what_is_not_said_opens_nothing() -> None:
    assert ApiKey(id="k").plans == ()
    statement = Statement(allow=True)
    assert (statement.actions, statement.resources, statement.principals) == ((), (), ())
    signer = Signer(user="arn", user_id="AIDA", keys={})
    assert (signer.policy, signer.namespace, signer.apis) == (None, "", ())


def test_an_answer_of_an_authorizer_is_not_kept_unless_somebody_says_so() -> None:
    found = FunctionAuthorizer(name="d/f", kind="REQUEST", target=UrlTarget(url="http://h"))
    assert (found.ttl_s, found.timeout_ms) == (0, 10_000)


def test_signing_keys_are_written_but_not_shown() -> None:
    key = "ab" * 32
    unit = SignersUnit(signers={"AKIA": Signer(user="u", user_id="i", keys={"d": Redacted(key)})})
    assert key not in repr(unit)
    assert codec.decode_unit(codec.encode(unit)) == unit
    assert key.encode() in codec.encode(unit)
