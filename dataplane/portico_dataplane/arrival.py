"""Where a request arrives: which API, which stage, under which path.

Asked by `http/exchange.py` for every request and by `portico explain`, so that both say the
same. The rules are AWS §3.2.5 (slashes, stage prefix of REST APIs), §4.2 (HTTP APIs) and §15.29
(X-HTTP-Method-Override). No I/O.
"""

from __future__ import annotations

from typing import Final

from portico_dataplane.runtime import ApiRuntime, Runtime, StageRuntime
from portico_ir.model import ApiKind, ApiUnit, Broken, DefaultMatch, Route, Stage

LOCAL_PATHS: Final = "/_aws/execute-api/"
"""Development: `/_aws/execute-api/<apiId>/<stage>/…` under any host."""

NO_API: Final = ApiUnit(uid="", api_id="", kind=ApiKind.REST, name="", namespace="")
NO_STAGE: Final = Stage(name="")
NO_ROUTE: Final = Route(key="", match=DefaultMatch(), integration=Broken(reason="no route"))
"""What a request has that did not get so far."""

_SEVEN: Final = frozenset({"DELETE", "GET", "HEAD", "OPTIONS", "PATCH", "POST", "PUT"})


def api_of(runtime: Runtime, domain: str, path: str) -> tuple[ApiRuntime | None, str, str]:
    """The API, the path to route, and the stage when the path names it outright."""
    if runtime.gateway.local_paths and path.startswith(LOCAL_PATHS):
        api_id, _, rest = path[len(LOCAL_PATHS) :].partition("/")
        named, _, rest = rest.partition("/")
        return runtime.apis.get(api_id), "/" + rest, named
    return runtime.hosts.get(domain) or runtime.sole, path, ""


def stage_of(api: ApiRuntime, path: str, named: str) -> tuple[StageRuntime | None, str]:
    """The stage, and the path without its prefix."""
    rest = api.unit.kind is ApiKind.REST
    if rest:
        path = _collapsed(path)
    if named:
        return api.stages.get(named), path
    if api.default_stage is None or len(api.stages) > 1:
        first, slash, tail = path[1:].partition("/")
        stage = api.stages.get(first)
        if stage is not None and first != "$default":
            tail = slash + tail
            return stage, (_collapsed(tail) if rest else tail) or "/"
    return api.default_stage, path


def _collapsed(path: str) -> str:
    # AWS §3.2.5: leading slashes collapse before matching, inner ones do not.
    return "/" + path.lstrip("/") if path[:2] == "//" else path


def overridden(method: str, override: bytes | None, kind: ApiKind) -> str:
    """The method to route: REST APIs honour X-HTTP-Method-Override (AWS §15.29)."""
    if override is None or kind is not ApiKind.REST:
        return method
    wanted = override.decode("latin-1").upper()
    return wanted if wanted in _SEVEN else method
