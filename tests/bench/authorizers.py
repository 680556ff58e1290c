"""What an authorizer's kept answer costs a request.

`PYTHONPATH=tests/support python tests/bench/authorizers.py`, for whoever works on authorizers.
Drives the policy of a route as an exchange does, with a request of a browser's headers and a token
of a kilobyte; CPU time, the least of many stretches, because everything else a machine does only
adds. The goal is 2 µs; a policy with conditions is judged anew for each request and has none.
"""

from __future__ import annotations

import json
import sys
import time
from collections.abc import Callable
from typing import Any, Final

from rich.console import Console
from rich.table import Table

from portico_dataplane.core.authorizer_cache import AnswerCache
from portico_dataplane.core.caller import Caller
from portico_dataplane.core.verdicts import CONTINUE
from portico_dataplane.policies.authorizer_answer import Answer, read
from portico_dataplane.policies.function_authorizer import FunctionAuthorizerPolicy
from portico_ir.access import FunctionAuthorizer, IdentitySource
from portico_ir.model import ApiKind, LambdaProxy, Route, UrlTarget
from sample_requests import make_request, match_of

HEADERS: Final = (
    (b"Accept", b"*/*"),
    (b"Accept-Encoding", b"gzip, deflate, br"),
    (b"Accept-Language", b"en-GB,en;q=0.9"),
    (b"User-Agent", b"Mozilla/5.0 (X11; Linux x86_64) AppleWebKit/537.36"),
    (b"Referer", b"https://app.example.test/"),
)
TOKEN: Final = "Bearer " + "a" * 1000
TARGET: Final = UrlTarget(url="http://f")
STRETCHES: Final = 300
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


def microseconds(act: Callable[[], object], times: int = 300) -> float:
    """CPU time of one, in the quietest stretch."""
    best = float("inf")
    for _ in range(STRETCHES):
        start = time.thread_time_ns()
        for _ in range(times):
            act()
        best = min(best, (time.thread_time_ns() - start) / times / 1000)
    return best


def main() -> int:
    """Measures; 1 when the goal is missed."""
    here = {"IpAddress": {"aws:SourceIp": "203.0.113.0/24"}}
    rows = {
        "REST, policy": (kept(ApiKind.REST, policy()), GOAL),
        "HTTP, simple answer": (kept(ApiKind.HTTP, SIMPLE), GOAL),
        "REST, policy with a condition": (kept(ApiKind.REST, policy(Condition=here)), 0.0),
    }
    table = Table("kept answer", "µs", "goal")
    missed = False
    for name, (act, goal) in rows.items():
        found = microseconds(act)
        missed = missed or (goal > 0 and found > goal)
        table.add_row(name, f"{found:.2f}", f"{goal:g}" if goal else "")
    Console().print(table)
    return int(missed)


if __name__ == "__main__":
    sys.exit(main())
