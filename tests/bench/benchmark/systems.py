"""The systems that are compared: the registry of ours and of the others (`peers`).

Each is one worker on one thread. Another proxy is one more entry there.
"""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

from benchmark import compiled, full, snapshots, tools
from benchmark.peers import PEERS
from benchmark.sites import BODIES, FULL, TLS, Site, System, certificate
from portico_ir import codec


def _portico(workers: int) -> Callable[[Site], list[str]]:
    def command(site: Site) -> list[str]:
        path = site.directory / "snapshot.json"
        path.write_bytes(codec.encode(snapshots.plain(site.upstream_port, BODIES)))
        return portico_command(path, site, workers)

    return command


def _portico_tls(site: Site) -> list[str]:
    path = site.directory / "snapshot.json"
    path.write_bytes(codec.encode(snapshots.plain(site.upstream_port, BODIES)))
    chain, key, _ = certificate(site)
    tls = ("--port", "0", "--tls-port", str(site.port))
    files = ("--tls-certificate", str(chain), "--tls-key", str(key))
    return [*portico_command(path, site), *tls, *files]


def _portico_tls_compiled(site: Site) -> list[str]:
    return [*compiled.chosen(), *_portico_tls(site)]


def _portico_full(site: Site) -> list[str]:
    path = site.directory / "snapshot.json"
    path.write_bytes(codec.encode(full.snapshot(site.upstream_port, "small")))
    return portico_command(path, site)


def _portico_full_compiled(site: Site) -> list[str]:
    return [*compiled.chosen(), *_portico_full(site)]


def portico_command(snapshot: Path, site: Site, workers: int = 1) -> list[str]:
    """The data plane as a user starts it by file."""
    ports = ["--port", str(site.port), "--admin-port", str(site.admin_port)]
    module = [tools.PYTHON, "-m", "portico_dataplane", "--snapshot", str(snapshot)]
    ports += ["--tls-port", "off"]
    return [*module, *ports, "--workers", str(workers), "--drain-delay", "0"]


def _portico_compiled(site: Site) -> list[str]:
    return [*compiled.chosen(), *_portico(1)(site)]


def _portico_compiled_version(site: Site) -> str:
    return _portico_version(site, *compiled.chosen())


def _portico_version(site: Site, *prefix: str) -> str:
    code = (
        "import importlib.metadata as m, sys, sysconfig, portico_dataplane.http.exchange as hot;"
        "plain = '--enable-optimizations' not in (sysconfig.get_config_var('CONFIG_ARGS') or '');"
        "how = 'interpreted' if hot.__file__.endswith('.py') else 'compiled';"
        "print('portico', m.version('portico'), how, 'on Python', sys.version.split()[0],"
        "'(built without --enable-optimizations)' if plain else '(optimised build)',"
        "'uvloop', m.version('uvloop'))"
    )
    return tools.version_line([*prefix, tools.PYTHON, "-c", code])


REGISTRY: dict[str, System] = {
    system.name: system
    for system in (
        *PEERS,
        System("portico", None, _portico(1), _portico_version),
        System("portico-compiled", None, _portico_compiled, _portico_compiled_version),
        System("portico-2", None, _portico(2), _portico_version),
        System("portico-tls", None, _portico_tls, _portico_version, (TLS,)),
        System(
            "portico-tls-compiled",
            None,
            _portico_tls_compiled,
            _portico_compiled_version,
            (TLS,),
        ),
        System("portico-full", None, _portico_full, _portico_version, (FULL,)),
        System(
            "portico-full-compiled",
            None,
            _portico_full_compiled,
            _portico_compiled_version,
            (FULL,),
        ),
    )
}
"""`portico-compiled` has its hot modules compiled (`make compiled`); `portico-2` (two workers on
the one core) is for the comparison of design.md §10."""

DEFAULT_SYSTEMS = (
    "nginx",
    "haproxy",
    "envoy",
    "caddy",
    "portico",
    "portico-compiled",
    "nginx-tls",
    "haproxy-tls",
    "envoy-tls",
    "caddy-tls",
    "portico-tls",
    "portico-tls-compiled",
    "envoy-full",
    "portico-full",
    "portico-full-compiled",
)
