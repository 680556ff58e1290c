"""`portico explain METHOD URL`: where a request goes, what is sent on, and why not elsewhere.

Called by `main`. Exit code 0 when a backend (or a mock) would answer, 1 when the gateway
itself would: nothing matches, the route is broken, or the manifests cannot be read.
"""

from __future__ import annotations

import asyncio
import sys
from collections.abc import Sequence
from typing import Any, assert_never

from portico_cli.configuration import Configuration, Loader
from portico_cli.inquiry import Asked, Explained, answer_of, inquire
from portico_cli.render import Printer, count, shown
from portico_compiler.world import Settings
from portico_dataplane.core.messages import Request
from portico_dataplane.core.verdicts import Respond
from portico_dataplane.http.head import RequestHead
from portico_dataplane.integrations.http import HttpForward, Unforwardable
from portico_dataplane.runtime import RouteRuntime
from portico_ir.integrations import targets_of
from portico_ir.model import (
    Broken,
    Endpoint,
    HttpProxy,
    Integration,
    LambdaProxy,
    Mock,
    ServiceTarget,
    Target,
    UrlTarget,
)
from portico_ir.policies import (
    Authorize,
    Cors,
    FailClosed,
    PolicySpec,
    RequireKey,
    Signature,
    Throttle,
)

MOST_OTHERS = 20
"""Routes that do not match which are listed; the nearest come first."""

__all__ = ["Asked", "run"]


def run(
    asked: Asked, paths: Sequence[str], backends: str | None, base_domain: str, *, as_json: bool
) -> int:
    """Explain one request, print, and return the exit code."""
    loader = Loader(paths, backends)
    settings = Settings(
        base_domain=base_domain,
        # As under `portico dev`, so that both say the same about one URL.
        local_paths=True,
        sole_api_fallback=True,
        egress_open=True,
    )
    found = loader.load(settings)
    errors = Printer(sys.stderr)
    errors.problems(found.problems, loader.files.line_of)
    if found.unreadable or not found.apis:
        what = "a text cannot be read" if found.unreadable else f"no API in {', '.join(paths)}"
        errors.line(f"nothing is explained: {what}", "red")
        return 1
    explained = asyncio.run(inquire(found.compiled.snapshot, asked))
    document = _document(explained, found)
    printer = Printer()
    if as_json:
        printer.json(document)
    else:
        _print(printer, document)
    return int(bool(explained.why))


def _document(explained: Explained, found: Configuration) -> dict[str, Any]:
    """Everything, for programs; the text is made from it."""
    asked = explained.asked
    document: dict[str, Any] = {
        "request": {"method": asked.method, "host": asked.host, "target": asked.target},
        "outcome": explained.why or _outcome(explained),
        "answer": answer_of(explained) or None,
    }
    if explained.hosts:
        document["hosts"] = explained.hosts
    if explained.api is not None:
        unit = explained.api.unit
        name, api_id = f"{unit.namespace}/{unit.name}", unit.api_id
        by = explained.found_by
        document["api"] = {"name": name, "kind": str(unit.kind), "apiId": api_id, "foundBy": by}
    if explained.domain:
        document["domain"] = explained.domain
    if explained.stage is not None and explained.request is not None:
        stage = explained.stage.stage
        document["stage"] = {"name": stage.name, "path": explained.request.path}
    if explained.route is not None and explained.request is not None:
        document |= _route(explained, explained.route, explained.request, found)
    document["others"] = [one._asdict() for one in explained.others]
    return document


def _route(
    explained: Explained, route: RouteRuntime, request: Request, found: Configuration
) -> dict[str, Any]:
    spec = route.route
    chain = [] if explained.api is None or explained.api.unit.cors is None else ["cors"]
    chain += [_policy_text(policy) for policy in spec.policies]
    chain.append(f"integration {_type(spec.integration)}")
    said: dict[str, Any] = {
        "route": {"name": spec.object, "key": spec.key, "variables": request.path_parameters},
        "chain": chain,
        "integration": _integration(spec.integration),
    }
    if explained.decided.decisions:
        said["decisions"] = [one._asdict() for one in explained.decided.decisions]
    said["upstreams"] = [_target(target, found) for target in targets_of(spec.integration)]
    if route.broken or explained.decided.refusal is not None:
        return said
    try:
        said["call"] = _call(explained, route, request, found)
    except Unforwardable as error:
        explained.why = f"the target cannot be formed from this request: {error}"
        said["call"] = None
    return said


def _outcome(explained: Explained) -> str:
    depends = explained.decided.depends
    if depends:
        return f"open: the gateway {depends} first (--ask does)"
    return "a backend is called"


def _policy_text(policy: PolicySpec) -> str:
    match policy:
        case Cors():
            return "cors"
        case FailClosed(reason=reason):
            return f"fails closed: {reason}"
        case Authorize(authorizer=name, scopes=scopes):
            wanted = f", a scope of {' '.join(scopes)}" if scopes else ""
            return f"authorizer {name}{wanted}"
        case Signature():
            return "a Signature Version 4"
        case RequireKey(source=source):
            return f"an API key ({source})"
        case Throttle(rate=rate, burst=burst, per_client=per_client):
            each = " for each client address" if per_client else ""
            return f"at most {rate:g} requests/s, burst {burst}{each}"
        case _:
            assert_never(policy)


def _type(integration: Integration) -> str:
    return {
        HttpProxy: "HTTP_PROXY",
        LambdaProxy: "AWS_PROXY",
        Mock: "MOCK",
        Broken: "(broken)",
    }[type(integration)]


def _integration(integration: Integration) -> dict[str, Any]:
    said: dict[str, Any] = {"type": _type(integration)}
    match integration:
        case HttpProxy() | LambdaProxy():
            said["timeoutMs"] = integration.timeout_ms
            said["maxRequestBody"] = integration.max_request_body
            if isinstance(integration, LambdaProxy):
                said["function"] = integration.function
                said["payloadFormatVersion"] = integration.payload_format
        case Mock():
            said["maxRequestBody"] = integration.max_request_body
        case Broken(reason=reason):
            said["reason"] = reason
        case _:
            assert_never(integration)
    return said


def _target(target: Target, found: Configuration) -> dict[str, Any]:
    match target:
        case ServiceTarget():
            endpoints = _endpoints(target, found)
            return {
                "service": target.upstream,
                "path": target.path,
                "weight": target.weight,
                "endpoints": [_address(endpoint) for endpoint in endpoints],
            }
        case UrlTarget():
            return {"url": target.url, "weight": target.weight}
        case _:
            assert_never(target)


def _endpoints(target: ServiceTarget, found: Configuration) -> tuple[Endpoint, ...]:
    return found.compiled.snapshot.endpoints.upstreams.get(target.upstream, ())


def _address(endpoint: Endpoint) -> str:
    host = f"[{endpoint.host}]" if ":" in endpoint.host else endpoint.host
    return f"{host}:{endpoint.port}"


def _call(
    explained: Explained, route: RouteRuntime, request: Request, found: Configuration
) -> dict[str, Any] | None:
    """What would be sent, formed by the route's own integration."""
    spec = route.route.integration
    if isinstance(spec, Mock):
        verdict = route.buffered.on_request(request, b"") if route.buffered is not None else None
        status = verdict.response.status if isinstance(verdict, Respond) else None
        return {"mock": status}
    if isinstance(spec, LambdaProxy):
        path = f"/2015-03-31/functions/{spec.function}/invocations"
        return {"method": "POST", "url": f"{_origin(spec.target, found)}{path}"}
    if route.forward is None or explained.head is None:
        return None
    return _http_call(route.forward, request, explained.head, found)


def _http_call(
    forward: HttpForward, request: Request, head: RequestHead, found: Configuration
) -> dict[str, Any] | None:
    destination = forward.destination(request)
    if destination is None:
        return None
    raw = forward.head(request, head.fields, destination, b"")
    line, *headers = raw.decode("latin-1").rstrip("\r\n").split("\r\n")
    return {
        "method": line.partition(" ")[0],
        "url": f"{_origin_of(destination.upstream.key, found)}{destination.path}",
        "headers": [[name, value] for name, _, value in (h.partition(": ") for h in headers)],
    }


def _origin_of(upstream: str, found: Configuration) -> str:
    """The address behind an upstream's key: which of several targets was picked."""
    scheme, kind, name = upstream.split(":", 2)
    if kind == "service":
        endpoints = found.compiled.snapshot.endpoints.upstreams.get(name, ())
        name = _address(endpoints[0]) if endpoints else name
    return f"{scheme}://{name}"


def _origin(target: Target, found: Configuration) -> str:
    match target:
        case ServiceTarget():
            endpoints = _endpoints(target, found)
            address = _address(endpoints[0]) if endpoints else target.host
            return f"{target.scheme}://{address}"
        case UrlTarget():
            return target.url.rstrip("/")
        case _:
            assert_never(target)


# --- text ---------------------------------------------------------------------------------


def _print(printer: Printer, document: dict[str, Any]) -> None:
    request = document["request"]
    rows = [("request", f"{request['method']} {request['host']}{request['target']}")]
    if domain := document.get("domain"):
        rows.append(("domain", _domain_text(domain)))
    if api := document.get("api"):
        rows.append(("api", f"{api['name']} ({api['kind']}, {api['apiId']}), by {api['foundBy']}"))
    if stage := document.get("stage"):
        rows.append(("stage", f"{stage['name']}, which routes {stage['path']}"))
    if route := document.get("route"):
        rows.append(("route", f"{route['name']}  {route['key']}"))
        rows += [("", f"{name} = {value}") for name, value in route["variables"].items()]
        rows.append(("chain", " → ".join(document["chain"])))
        rows += [("decision", _decision_text(one)) for one in document.get("decisions", ())]
        rows.append(("integration", _settings_text(document["integration"])))
        rows += [("upstream", _upstream_text(upstream)) for upstream in document["upstreams"]]
    if call := document.get("call"):
        rows += _call_rows(call)
    if answer := document["answer"]:
        rows.append(("answer", f"{answer['status']} {answer['body']}"))
        rows += [("", f"{name}: {value}") for name, value in answer.get("headers", ())]
    rows.append(("outcome", document["outcome"]))
    rows += [("", f"an API answers at {host}") for host in document.get("hosts", ())]
    width = max(len(name) for name, _ in rows)
    for name, text in rows:
        printer.line(f"{printer.paint(name.ljust(width), 'bold')}  {shown(text)}".rstrip())
    others = document["others"]
    if others:
        printer.line()
        head = ("OTHER ROUTES", "KEY", "WHY NOT")
        rows_ = [(one["route"], one["key"], one["why"]) for one in others[:MOST_OTHERS]]
        printer.table(head, rows_)
        if len(others) > MOST_OTHERS:
            printer.line(f"… and {count(len(others) - MOST_OTHERS, 'more route')}", "dim")


def _domain_text(domain: dict[str, Any]) -> str:
    asks = "; asks for a client certificate, taken as given" if domain["clientCertificate"] else ""
    if domain["rule"]:
        return f"{domain['name']}, its rule of priority {domain['rule']}{asks}"
    path = f"/{domain['basePath']}" if domain["basePath"] else "the empty key"
    return f"{domain['name']}, mapping {path}{asks}" if domain["mapped"] else domain["name"]


def _decision_text(decision: dict[str, Any]) -> str:
    says = f" ({decision['says']})" if decision["says"] else ""
    return f"{decision['step']}: {decision['verdict']}{says}"


def _settings_text(integration: dict[str, Any]) -> str:
    rest = [f"{name} {value}" for name, value in integration.items() if name != "type"]
    return ", ".join([integration["type"], *rest])


def _upstream_text(upstream: dict[str, Any]) -> str:
    if "url" in upstream:
        return str(upstream["url"])
    at = ", ".join(upstream["endpoints"]) or "no endpoint is known"
    return f"{upstream['service']} at {at}"


def _call_rows(call: dict[str, Any]) -> list[tuple[str, str]]:
    if "mock" in call:
        return [("call", f"none: the gateway answers {call['mock']} by itself")]
    rows = [("call", f"{call['method']} {call['url']}")]
    rows += [("", f"{name}: {value}") for name, value in call.get("headers", ())]
    return rows
