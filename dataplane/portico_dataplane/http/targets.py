"""Targets of the contract, prepared once: which upstream, which Host, which path.

Asked by `build.py` while building and by `http/call.py` for functions. Equal targets share
one prepared form, and so one pool: a thousand routes to one Service are one upstream.
"""

from __future__ import annotations

import re
import ssl
import weakref
from collections import Counter
from collections.abc import Collection, Iterable, Mapping
from typing import TYPE_CHECKING, Final, assert_never

import msgspec

from portico_dataplane.core.templates import BadTemplate, UrlTemplate
from portico_dataplane.effects.certificates import Unusable
from portico_dataplane.effects.tls_client import client_context
from portico_dataplane.http.pools import Upstream, Upstreams
from portico_dataplane.integrations.http import PreparedTarget, Tls
from portico_ir.model import Endpoint, ServiceTarget, Target, UrlTarget
from portico_ir.targets import DEFAULT_PORTS, UpstreamTls

if TYPE_CHECKING:
    from portico_ir.model import EndpointSet

_AUTHORITY = re.compile(r"[A-Za-z0-9._~:\[\]-]+")
_MOST_DYNAMIC = 1024
"""Upstreams whose host came from a request: bounded, because clients choose them."""
_USUAL: Final = UpstreamTls()
_NONE: Final[Mapping[str, UpstreamTls]] = {}


class Targets:
    """Prepared targets and the endpoints of services."""

    def __init__(self, upstreams: Upstreams) -> None:
        self._upstreams = upstreams
        self._prepared: dict[Target, PreparedTarget] = {}
        self._users: Counter[str] = Counter()
        """Key of an upstream to how many prepared targets lead there."""
        self._endpoints: dict[str, tuple[Endpoint, ...]] = {}
        self._services: dict[str, set[str]] = {}
        """Upstream id of the contract to keys of upstreams (one per scheme)."""
        self._named: frozenset[str] = frozenset()
        """Upstream ids of the newest set."""
        self._sequence = -1
        self._static: set[str] = set()
        self._dynamic: dict[str, Upstream] = {}
        self._contexts: weakref.WeakValueDictionary[UpstreamTls, ssl.SSLContext]
        self._contexts = weakref.WeakValueDictionary()
        """By terms without their server name; as long as an upstream has them."""
        self._usual: Tls | None = None

    def prepared(self, target: Target, terms: Mapping[str, UpstreamTls] = _NONE) -> PreparedTarget:
        """The prepared form; `terms`: what targets name for TLS, by their key.

        Raises `BadTemplate` for a path or URL that cannot be one, and for terms that OpenSSL does
        not take.
        """
        found = self._prepared.get(target)
        if found is None:
            found = self._prepared[target] = self._prepare(target, terms)
            if found.upstream is not None:
                self._users[found.upstream.key] += 1
        return found

    def _prepare(self, target: Target, terms: Mapping[str, UpstreamTls]) -> PreparedTarget:
        upstream: Upstream | None
        tls = self._tls(target.tls, terms) if target.tls else None
        match target:
            case ServiceTarget():
                upstream = self._service(target, tls)
                url = UrlTemplate.of_path(target.path) if target.path else None
                return PreparedTarget(
                    target.weight,
                    upstream,
                    _host_line(target.host),
                    url,
                    target.append_path and url is not None,
                )
            case UrlTarget():
                url = UrlTemplate.of_url(target.url)
                if url.host_is_static:
                    static = url.render({}) if url.is_static else url.origin()
                    upstream = self._address(static.scheme, static.host, static.port, tls)
                    self._static.add(upstream.key)
                    host = _host_line(static.authority)
                else:
                    upstream, host = None, b""
                return PreparedTarget(target.weight, upstream, host, url, target.append_path, tls)
            case _:
                assert_never(target)

    def _service(self, target: ServiceTarget, tls: Tls | None) -> Upstream:
        host = target.host.rpartition(":")[0] or target.host
        upstream = self._upstream(
            target.scheme, f"service:{target.upstream}", host, tls, trusted=True
        )
        key = upstream.key
        known = self._services.setdefault(target.upstream, set())
        if key not in known:
            known.add(key)
            upstream.update(self._endpoints.get(target.upstream, ()))
        upstream.set_cluster_ip(_endpoint(target.cluster_ip))
        return upstream

    def by_address(self, scheme: str, host: str, port: int, tls: Tls | None = None) -> Upstream:
        """The upstream of a URL whose host a request chose; only so many are remembered."""
        upstream = self._address(scheme, host, port, tls)
        self._dynamic.pop(upstream.key, None)
        self._dynamic[upstream.key] = upstream
        if len(self._dynamic) > _MOST_DYNAMIC:
            oldest = next(iter(self._dynamic))
            del self._dynamic[oldest]
            if oldest not in self._static:
                self._upstreams.drop(oldest)
        return upstream

    def _address(self, scheme: str, host: str, port: int, tls: Tls | None) -> Upstream:
        # The dialer checks the resolved address when it connects.
        port = port or DEFAULT_PORTS[scheme]
        upstream = self._upstream(scheme, f"url:{host}:{port}", host, tls, trusted=False)
        if upstream.sole is None:
            upstream.update((Endpoint(host=host, port=port),))
        return upstream

    def _upstream(
        self, scheme: str, place: str, host: str, tls: Tls | None, *, trusted: bool
    ) -> Upstream:
        """Of a scheme, a place and terms: connections of one are never those of another."""
        if scheme != "https":
            return self._upstreams.get(f"{scheme}:{place}", trusted=trusted)
        if tls is None:
            tls = self._usual = self._usual or Tls("", self._context(_USUAL), "")
        key = f"{scheme}:{place}:{tls.key}" if tls.key else f"{scheme}:{place}"
        name = tls.server_name or host
        return self._upstreams.get(key, tls=tls.context, server_name=name, trusted=trusted)

    def _tls(self, key: str, terms: Mapping[str, UpstreamTls]) -> Tls:
        wanted = terms.get(key)
        if wanted is None:
            raise BadTemplate(f"TLS terms {key!r} are missing")
        shared = msgspec.structs.replace(wanted, server_name="")
        try:
            return Tls(key, self._context(shared), wanted.server_name)
        except Unusable as error:
            raise BadTemplate(f"TLS to the backend: {error}") from None

    def _context(self, terms: UpstreamTls) -> ssl.SSLContext:
        context = self._contexts.get(terms)
        if context is None:
            context = self._contexts[terms] = client_context(terms)
        return context

    def set_endpoints(self, endpoints: EndpointSet) -> bool:
        """Take a newer set; False when it is older than what is known.

        An upstream that it does not name keeps its addresses: it comes before the configuration
        it belongs to, and what serves meanwhile, or is kept because its successor was refused,
        still needs them. One without addresses is named, with none.
        """
        if endpoints.sequence < self._sequence:
            return False
        self._sequence = endpoints.sequence
        for upstream_id, new in endpoints.upstreams.items():
            if new != self._endpoints.get(upstream_id, ()):
                for key in self._services.get(upstream_id, ()):
                    self._upstreams.get(key, trusted=True).update(new)
        self._endpoints.update(endpoints.upstreams)
        self._named = frozenset(endpoints.upstreams)
        for upstream_id in self._endpoints.keys() - self._named - self._services.keys():
            del self._endpoints[upstream_id]
        return True

    def release(self, unused: Iterable[Target]) -> None:
        """Forget these targets, and upstreams that only they led to."""
        for target in unused:
            prepared = self._prepared.pop(target, None)
            if prepared is None or prepared.upstream is None:
                continue
            key = prepared.upstream.key
            self._users[key] -= 1
            if not self._users[key]:
                del self._users[key]
                self._drop(key)
                if isinstance(target, ServiceTarget):
                    self._leave(target.upstream, key)

    def _drop(self, key: str) -> None:
        self._static.discard(key)
        if key not in self._dynamic:
            self._upstreams.drop(key)

    def _leave(self, upstream_id: str, key: str) -> None:
        keys = self._services[upstream_id]
        keys.discard(key)
        if not keys:
            del self._services[upstream_id]
            if upstream_id not in self._named:
                self._endpoints.pop(upstream_id, None)

    def retain(self, used: Collection[Target]) -> None:
        """Forget all but these, and what a build that failed has left behind."""
        self.release([target for target in self._prepared if target not in used])
        for key in self._upstreams.keys() - self._users.keys():
            self._drop(key)
        for upstream_id, keys in list(self._services.items()):
            for key in keys - self._users.keys():
                self._leave(upstream_id, key)


def _endpoint(address: str) -> Endpoint | None:
    """`ip:port` or `[ip]:port`; a headless Service has no such address."""
    host, _, port = address.rpartition(":")
    if not host or not port.isascii() or not port.isdigit():
        return None
    return Endpoint(host=host.removeprefix("[").removesuffix("]"), port=int(port))


def _host_line(authority: str) -> bytes:
    if _AUTHORITY.fullmatch(authority) is None:
        raise BadTemplate("not a host and port")
    return f"Host: {authority}\r\n".encode("ascii")
