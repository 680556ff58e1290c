"""Targets: a Service or a URL in a manifest becomes what the data plane dials.

Called by the features that call something. Promises: a target that is returned is usable as it
stands; anything else is a Problem and a Broken integration.
"""

from __future__ import annotations

import re
from collections.abc import Collection
from typing import Literal
from urllib.parse import urlsplit

from portico_compiler.features import variables
from portico_compiler.features.scope import Scope, Upstream
from portico_compiler.manifests import core
from portico_compiler.manifests.shapes import ServiceRef
from portico_compiler.problems import ObjectRef, Reason
from portico_ir.model import Broken, ServiceTarget, UrlTarget
from portico_ir.targets import DEFAULT_PORTS

Scheme = Literal["http", "https"]
TLS_FIELD = "spec.integration.tlsConfig"

# Printable ASCII without what RFC 3986 leaves out and without the fragment.
_PATH = re.compile(r"/[!$%&'()*+,\-./0-9:;=?@A-Z\[\]_a-z~]*\Z")
_PRINTABLE = re.compile(r"[!-~]+\Z")
_HOST = re.compile(r"(\[[0-9A-Fa-f:.]+\]|[A-Za-z0-9_]([A-Za-z0-9_.-]*[A-Za-z0-9_])?\.?)\Z")


def url_target(
    text: str, field: str, names: Collection[str], append_path: bool, scope: Scope
) -> UrlTarget | Broken:
    """A URL, its stage variables filled in."""
    url = variables.resolve(text, field, names, scope)
    if isinstance(url, Broken):
        return url
    fault = url_fault(variables.without_names(url))
    if fault:
        # What stands before an @ is not for statuses and logs.
        shown = repr(url) if "@" not in url else "the URL"
        return scope.broken(field, Reason.INVALID_ADDRESS, f"{shown} {fault}")
    secure = url.lower().startswith("https:")
    if scope.asks_for_tls and not secure:
        message = f"asks for TLS, and {field} is not an https:// URL"
        return scope.broken(TLS_FIELD, Reason.INVALID_COMBINATION, message)
    return UrlTarget(url=url, append_path=append_path, tls=scope.tls_key if secure else "")


def service_target(
    service: ServiceRef,
    field: str,
    names: Collection[str],
    append_path: bool,
    scope: Scope,
    referrer: ObjectRef | None = None,
    weight: int = 1,
) -> ServiceTarget | Broken:
    """A port of a Service; `referrer` is who names it, the Route unless another is given."""
    owner = referrer or scope.route
    ref = ObjectRef("Service", service.namespace or owner.namespace, service.name)
    if not scope.permits(owner, ref):
        message = f"no ReferenceGrant in {ref.namespace} allows a reference to {ref}"
        return scope.broken(f"{field}.namespace", Reason.REF_NOT_PERMITTED, message)
    found = scope.service(ref.namespace, ref.name)
    backend = scope.settings.backends.get(f"{ref.namespace}/{ref.name}")
    port = _port(service, found, backend, ref, field, scope)
    if isinstance(port, Broken):
        return port
    path = variables.resolve(service.path, f"{field}.path", names, scope) if service.path else ""
    if isinstance(path, Broken):
        return path
    if path and not _PATH.match(variables.without_names(path)):
        message = f"{path!r} does not start with '/' or holds what a path cannot"
        return scope.broken(f"{field}.path", Reason.INVALID_ADDRESS, message)
    upstream = Upstream(ref.namespace, ref.name, port)
    scope.upstreams.add(upstream)
    # AWS §4.3: plain HTTP unless tlsConfig is given.
    wanted: Scheme = "https" if scope.asks_for_tls else service.scheme
    scheme = _scheme(wanted, backend)
    host = f"{ref.name}.{ref.namespace}.svc.cluster.local"
    plain = port == DEFAULT_PORTS[wanted] or not isinstance(port, int)
    return ServiceTarget(
        upstream=upstream.id,
        host=host if plain else f"{host}:{port}",
        scheme=scheme,
        path=path,
        append_path=append_path,
        weight=weight,
        cluster_ip=_cluster_ip(found, port, scope),
        tls=scope.tls_key if scheme == "https" else "",
    )


def _port(
    service: ServiceRef,
    found: core.Service | None,
    backend: str | None,
    ref: ObjectRef,
    field: str,
    scope: Scope,
) -> int | str | Broken:
    if found is None:
        if backend is not None:
            return service.port
        message = f"there is no {ref}"
        if scope.settings.mode == "files":
            message += " among the files, and no backend for it in portico.dev.yaml"
        return scope.broken(field, Reason.SERVICE_NOT_FOUND, message)
    if found.spec.type == "ExternalName" and backend is None:
        # Whoever may write Services could otherwise point the gateway anywhere.
        message = f"{ref} is an ExternalName, which is not followed; use url"
        return scope.broken(field, Reason.UNSUPPORTED_SERVICE, message)
    match = service_port(found, service.port)
    if match is not None:
        return match.port
    if backend is not None:
        return service.port
    offered = ", ".join(f"{p.port} {p.name or ''}".strip() for p in found.spec.ports)
    message = f"{ref} has no port {service.port}; it has {offered or 'none'}"
    return scope.broken(f"{field}.port", Reason.PORT_NOT_FOUND, message)


def service_port(service: core.Service, port: int | str) -> core.ServicePort | None:
    """The port of that number or name; TCP only."""
    for offered in service.spec.ports:
        if offered.protocol in (None, "TCP") and port in (offered.port, offered.name):
            return offered
    return None


def _scheme(wanted: Scheme, backend: str | None) -> Scheme:
    """A local backend says itself how it is spoken to."""
    if backend is None:
        return wanted
    return "https" if backend.lower().startswith("https:") else "http"


def _cluster_ip(service: core.Service | None, port: int | str, scope: Scope) -> str:
    """Only where it means something: a file's Service has no address."""
    if service is None or scope.settings.mode != "cluster" or not isinstance(port, int):
        return ""
    address = service.spec.cluster_ip
    if address in (None, "", "None"):
        return ""
    return f"[{address}]:{port}" if ":" in str(address) else f"{address}:{port}"


def url_fault(url: str) -> str:
    """What is wrong with a URL; empty when nothing is."""
    if not _PRINTABLE.match(url):
        return "holds spaces or characters that must be percent-encoded"
    try:
        parts = urlsplit(url)
        host, port = parts.hostname, parts.port
    except ValueError as why:
        return f"is not a URL: {why}"
    if parts.scheme not in ("http", "https"):
        return "is not an http:// or https:// URL"
    if "@" in parts.netloc:
        return "holds credentials, which do not belong in a URL"
    authority = parts.netloc if port is None else parts.netloc.rpartition(":")[0]
    if not host or not _HOST.match(authority):
        return "has no usable host"
    if port == 0:
        return "has no usable port"
    rest = url.partition("://")[2][len(parts.netloc) :]
    if rest and not _PATH.match(f"/{rest}" if rest.startswith("?") else rest):
        return "holds characters that must be percent-encoded, or a fragment"
    return ""
