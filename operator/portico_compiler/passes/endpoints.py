"""Pass 8: the addresses behind every Service that a route uses.

Called by `compiler.compile`. Promises: ready endpoints, else those that still serve while they
end (reference/kubernetes, EndpointSlice conditions), sorted; an upstream in use is always there,
with () when nothing answers for it.
"""

from __future__ import annotations

from collections.abc import Hashable, Iterable
from urllib.parse import urlsplit

from portico_compiler.features.scope import Upstream
from portico_compiler.features.targets import service_port
from portico_compiler.inventory import Document, Inventory
from portico_compiler.manifests import core
from portico_compiler.memo import Memo
from portico_compiler.world import Settings
from portico_ir.model import Endpoint, EndpointSet
from portico_ir.targets import DEFAULT_PORTS


def endpoints(
    upstreams: Iterable[Upstream], inventory: Inventory, settings: Settings, memo: Memo
) -> EndpointSet:
    """Addresses of the upstreams, by their ids."""
    shelf = memo.shelf("endpoints")
    found: dict[str, tuple[Endpoint, ...]] = {}
    for upstream in upstreams:
        backend = settings.backends.get(f"{upstream.namespace}/{upstream.service}")
        if backend is not None:
            found[upstream.id] = _of_backend(backend)
            continue
        slices = inventory.slices(upstream.namespace, upstream.service)
        key = ("Service", upstream.namespace, upstream.service)
        state: tuple[Hashable, ...] = (inventory.token(key), slices)
        known: tuple[Hashable, tuple[Endpoint, ...]] | None = shelf.get(upstream)
        if known is None or known[0] != state:
            known = (state, _of_slices(upstream, slices, inventory))
        shelf.keep(upstream, known)
        found[upstream.id] = known[1]
    return EndpointSet(upstreams=found)


def _of_backend(url: str) -> tuple[Endpoint, ...]:
    """The address in a URL of portico.dev.yaml; () when there is none to be found."""
    try:
        parts = urlsplit(url)
        host, port = parts.hostname, parts.port
    except ValueError:
        return ()
    if not host or parts.scheme not in DEFAULT_PORTS:
        return ()
    return (Endpoint(host=host, port=port or DEFAULT_PORTS[parts.scheme]),)


def _of_slices(
    upstream: Upstream, slices: tuple[Document, ...], inventory: Inventory
) -> tuple[Endpoint, ...]:
    service = inventory.service(upstream.namespace, upstream.service)
    offered = service_port(service, upstream.port) if service else None
    if offered is None:
        return ()
    ready: set[tuple[str, int]] = set()
    ending: set[tuple[str, int]] = set()
    for document in slices:
        slice_ = document.content
        if not isinstance(slice_, core.EndpointSlice) or slice_.address_type == "FQDN":
            continue
        # Slices carry the numbers of named target ports; their ports have the Service's names.
        numbers = [
            port.port
            for port in slice_.ports
            if port.port is not None
            and (port.name or "") == (offered.name or "")
            and port.protocol in (None, "TCP")
        ]
        for endpoint in slice_.endpoints:
            # "Consumers should use the first address": they are the same pod.
            addresses = {(endpoint.addresses[0], n) for n in numbers if endpoint.addresses}
            conditions = endpoint.conditions
            if conditions.ready is not False:
                ready |= addresses
            elif conditions.serving and conditions.terminating:
                ending |= addresses
    return tuple(Endpoint(host=host, port=port) for host, port in sorted(ready or ending))
