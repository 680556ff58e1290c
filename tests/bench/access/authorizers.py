"""What an authorizer's kept answer costs a request.

A token of a kilobyte; a policy with conditions is judged anew for each request and has no goal.
"""

from __future__ import annotations

import json
from collections.abc import Callable
from typing import Any, Final

from access.stretches import HEADERS, Row, microseconds
from portico_dataplane.core.authorizer_cache import AnswerCache
from portico_dataplane.core.caller import Caller
from portico_dataplane.core.verdicts import CONTINUE
from portico_dataplane.policies.authorizer_answer import Answer, read
from portico_dataplane.policies.function_authorizer import FunctionAuthorizerPolicy
from portico_ir.access import FunctionAuthorizer, IdentitySource
from portico_ir.model import ApiKind, LambdaProxy, Route, UrlTarget
from sample_requests import make_request, match_of

TOKEN: Final = "Bearer " + "a" * 1000
TARGET: Final = UrlTarget(url="http://f")
GOAL: Final = 2.0
RESOURCE: Final = "arn:aws:execute-api:*:*:*/*/GET/pets/*"
SIMPLE: Final = {"isAuthorized": True, "context": {"tenant": "blue"}}


def policy(**more: Any) -> dict[str, Any]:
    """An answer with a policy."""
    statement = {"Effect": "Allow", "Action": "execute-api:Invoke", "Resource": RESOURCE, **more}
    document = {"Version": "2012-10-17", "Statement": [statement]}
    return {"principalId": "user", "policyDocument": document, "context": {"tenant": "blue"}}


def kept(kind: ApiKind, answer: dict[str, Any]) -> Callable[[], object]:
    """A request whose caller was asked about before."""
    spec = FunctionAuthorizer(
        name="default/auth",
        kind="REQUEST",
        target=TARGET,
        function="f",
        simple=answer is SIMPLE,
        sources=(IdentitySource(place="header", name="Authorization"),),
        ttl_s=300,
    )
    cache: AnswerCache[Answer] = AnswerCache(spec)
    function = LambdaProxy(target=TARGET, function="f", payload_format="2.0")
    key = "GET /pets/{petId}"
    route = Route(key=key, match=match_of(kind, key), integration=function)
    asked = FunctionAuthorizerPolicy(spec, kind, route, cache)
    request = make_request(kind, headers=[*HEADERS, (b"Authorization", TOKEN.encode())])
    found = read(json.dumps(answer).encode(), kind, simple=spec.simple)
    assert isinstance(found, Answer)
    cache.put(TOKEN, found, 1000, request.received_ms)

    def act() -> object:
        request.caller = Caller()
        return asked.on_request(request)

    assert act() is CONTINUE
    return act


def rows() -> list[Row]:
    """By the kind of answer."""
    here = {"IpAddress": {"aws:SourceIp": "203.0.113.0/24"}}
    conditional = kept(ApiKind.REST, policy(Condition=here))
    return [
        Row("kept answer, policy", microseconds(kept(ApiKind.REST, policy())), GOAL),
        Row("kept answer, simple", microseconds(kept(ApiKind.HTTP, SIMPLE)), GOAL),
        Row("kept answer, policy with a condition", microseconds(conditional)),
    ]
