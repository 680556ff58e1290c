"""The full chain: what an API with plans costs, beside Envoy with the filters that come nearest.

design.md §10: 1,000 exact routes, an API key by its digest, buckets and quota of plan and route,
metrics, a JSON access log. Requests go over all routes and all keys. Envoy does a match tree,
api_key_auth, one local rate limit and the same line of JSON; it has no quotas, and one bucket
where Portico has four.
"""

from __future__ import annotations

import hashlib
import json
from pathlib import Path

from benchmark import snapshots
from portico_ir.access import ApiKey, Bucket, Plan, PlanStage, Quota
from portico_ir.model import (
    AccessLog,
    GatewayUnit,
    HttpProxy,
    KeysUnit,
    PlansUnit,
    RestSegments,
    Route,
    Snapshot,
    Unit,
    UrlTarget,
)
from portico_ir.policies import RequireKey, Throttle

ROUTES = 1000
KEYS = 1000
PLENTY = 1_000_000
"""Tokens per second and requests per day that no run uses up."""

_NAMES = ("requestId", "identity.sourceIp", "requestTime", "httpMethod", "resourcePath", "status")
ACCESS_LOG = json.dumps(
    {
        name: f"$context.{name}"
        for name in (*_NAMES, "protocol", "responseLength", "responseLatency")
    }
)
_ENVOY_LOG = {
    "requestId": "%REQ(X-REQUEST-ID)%",
    "sourceIp": "%DOWNSTREAM_REMOTE_ADDRESS_WITHOUT_PORT%",
    "requestTime": "%START_TIME%",
    "httpMethod": "%REQ(:METHOD)%",
    "path": "%REQ(:PATH)%",
    "status": "%RESPONSE_CODE%",
    "protocol": "%PROTOCOL%",
    "responseLength": "%BYTES_SENT%",
    "responseLatency": "%DURATION%",
}


def path(number: int) -> str:
    """Of a route."""
    return f"/teams/t{number // 100}/things/i{number % 100}"


def key(number: int) -> str:
    """A value of an API key."""
    return f"benchmark-key-{number:026d}"


def snapshot(upstream_port: int, case: str) -> Snapshot:
    """One REST API whose routes all call the upstream's `/<case>`."""
    target = UrlTarget(url=f"http://127.0.0.1:{upstream_port}/{case}")
    routes = [
        Route(
            key=f"GET {path(number)}",
            match=RestSegments(method="GET", path=path(number)),
            integration=HttpProxy(targets=(target,)),
            object=f"default/r{number}",
            resource_id=f"{number:06d}",
            policies=(RequireKey(), Throttle(rate=float(PLENTY), burst=PLENTY)),
        )
        for number in range(ROUTES)
    ]
    everything = Bucket(rate=float(PLENTY), burst=PLENTY)
    units: dict[str, Unit] = {GATEWAY: GatewayUnit(egress_open=True)}
    units |= snapshots.api(
        "full",
        routes,
        hosts=(snapshots.PLAIN_HOST,),
        throttle=everything,
        access_log=AccessLog(format=ACCESS_LOG),
    )
    plan = Plan(
        id="plan",
        name="default/plan",
        stages=(PlanStage(api="uid-full", stage="$default"),),
        throttle=everything,
        quota=Quota(limit=1_000_000_000, period="DAY"),
    )
    units["plans"] = PlansUnit(plans=(plan,))
    units["keys/0"] = KeysUnit(
        keys={
            hashlib.sha256(key(number).encode()).hexdigest(): ApiKey(
                id=f"key{number}", plans=("plan",)
            )
            for number in range(KEYS)
        }
    )
    return snapshots.snapshot(units)


GATEWAY = snapshots.GATEWAY

_TYPES = "type.googleapis.com/envoy"


def envoy_manager(log: Path, case: str) -> dict[str, object]:
    """What differs from the plain connection manager."""

    def route(number: int) -> dict[str, object]:
        return {
            "action": {
                "name": "route",
                "typed_config": {
                    "@type": f"{_TYPES}.config.route.v3.Route",
                    "match": {"path": path(number)},
                    "route": {"cluster": "upstream", "prefix_rewrite": f"/{case}"},
                },
            }
        }

    by_path = {
        "input": {
            "name": "path",
            "typed_config": {
                "@type": f"{_TYPES}.type.matcher.v3.HttpRequestHeaderMatchInput",
                "header_name": ":path",
            },
        },
        "exact_match_map": {"map": {path(n): route(n) for n in range(ROUTES)}},
    }
    always = {"default_value": {"numerator": 100, "denominator": "HUNDRED"}}
    limit = {
        "@type": f"{_TYPES}.extensions.filters.http.local_ratelimit.v3.LocalRateLimit",
        "stat_prefix": "limit",
        "token_bucket": {
            "max_tokens": PLENTY,
            "tokens_per_fill": PLENTY,
            "fill_interval": "1s",
        },
        "filter_enabled": {"runtime_key": "on", **always},
        "filter_enforced": {"runtime_key": "on", **always},
    }
    keys = {
        "@type": f"{_TYPES}.extensions.filters.http.api_key_auth.v3.ApiKeyAuth",
        "credentials": [{"key": key(n), "client": f"key{n}"} for n in range(KEYS)],
        "key_sources": [{"header": "x-api-key"}],
    }
    access_log = {
        "name": "file",
        "typed_config": {
            "@type": f"{_TYPES}.extensions.access_loggers.file.v3.FileAccessLog",
            "path": str(log),
            "log_format": {"json_format": _ENVOY_LOG},
        },
    }
    return {
        "route_config": {
            "virtual_hosts": [
                {"name": "all", "domains": ["*"], "matcher": {"matcher_tree": by_path}}
            ]
        },
        "access_log": [access_log],
        "http_filters": [
            {"name": "envoy.filters.http.api_key_auth", "typed_config": keys},
            {"name": "envoy.filters.http.local_ratelimit", "typed_config": limit},
            {
                "name": "envoy.filters.http.router",
                "typed_config": {"@type": f"{_TYPES}.extensions.filters.http.router.v3.Router"},
            },
        ],
    }


def wrk_script(plain: str, host: str) -> str:
    """A wrk script that sends every route and every key in turn, formatted beforehand."""

    def line(number: int) -> str:
        headers = f'["Host"]="{host}", ["X-Api-Key"]="{key(number * 7 % KEYS)}"'
        return f'  wrk.format("GET", "{path(number)}", {{{headers}}}),'

    return "\n".join(
        (
            plain,
            "local requests, at = {}, 0",
            "init = function() requests = {",
            *map(line, range(ROUTES)),
            "} end",
            f"request = function() at = at % {ROUTES} + 1 return requests[at] end",
            "",
        )
    )
