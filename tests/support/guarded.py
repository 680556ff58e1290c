"""APIs whose routes ask an authorizer first, for tests of what happens meanwhile."""

from __future__ import annotations

import json
from typing import Any, Final

from portico_ir.access import Authorizer, FunctionAuthorizer, IdentitySource
from portico_ir.model import ApiKind, Integration, Route, RoutesUnit, Unit
from portico_ir.policies import Authorize
from serving import REST, SERVICE, route, shard_id, site

ASKED: Final = b"/2015-03-31/functions/auth/invocations"
"""Where the authorizer of these APIs is invoked."""
TOKEN: Final = IdentitySource(place="header", name="Authorization")


def authorizer(name: str = "auth", kind: ApiKind = REST, **fields: Any) -> FunctionAuthorizer:
    """A function of the recording upstream that is asked about the Authorization header."""
    made: dict[str, Any] = {
        "name": f"test/{name}",
        "kind": "TOKEN" if kind is REST else "REQUEST",
        "target": SERVICE,
        "function": "auth",
        "payload_format": "" if kind is REST else "2.0",
        "sources": (TOKEN,),
        **fields,
    }
    return FunctionAuthorizer(**made)


def guarded(
    kind: ApiKind, key: str, integration: Integration | None = None, by: str = "auth"
) -> Route:
    """A route that asks the authorizer of that name."""
    return route(kind, key, integration, policies=(Authorize(authorizer=f"test/{by}"),))


def guarded_site(
    kind: ApiKind,
    name: str,
    routes: tuple[Route, ...],
    *authorizers: FunctionAuthorizer,
    **fields: Any,
) -> dict[str, Unit]:
    """An API at `<name>.test` with these routes and authorizers."""
    units = site(kind, name, routes, **fields)
    known: dict[str, Authorizer] = {one.name: one for one in authorizers}
    shard = units[shard_id(kind, name)]
    assert isinstance(shard, RoutesUnit)
    units[shard_id(kind, name)] = RoutesUnit(api=shard.api, routes=shard.routes, authorizers=known)
    return units


def policy(effect: str = "Allow", resource: str = "*", **more: Any) -> bytes:
    """What an authorizer returns, with a policy."""
    statement = {"Action": "execute-api:Invoke", "Effect": effect, "Resource": resource}
    document = {"Version": "2012-10-17", "Statement": [statement]}
    return json.dumps({"principalId": "user", "policyDocument": document, **more}).encode()


def returns(result: bytes, *lines: bytes) -> bytes:
    """The Invoke API's answer with this result."""
    head = (b"HTTP/1.1 200 OK", *lines, b"Content-Length: %d" % len(result))
    return b"\r\n".join(head) + b"\r\n\r\n" + result


ALLOW: Final = returns(policy())
DENY: Final = returns(policy("Deny"))
