"""The systems that are compared, each as one worker on one thread, doing the same plain job.

A registry: another proxy is one more entry. Configurations are what a user would write for
plain pass-through with keep-alive both ways and no access log; nothing is tuned against
anyone. Host and paths are the same everywhere.
"""

from __future__ import annotations

import json
import os
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

from benchmark import compiled, full, snapshots, tools
from portico_ir import codec

_PRINTABLE = bytes(range(32, 96))

BODIES: dict[str, bytes] = {
    "small": b'{"id": 1, "name": "Rex", "kind": "dog", "price": 24.9}',
    "10k": _PRINTABLE * (10 * 1024 // len(_PRINTABLE)),
    "1m": _PRINTABLE * (1024 * 1024 // len(_PRINTABLE)),
}
"""Path on the upstream to its body: 54 bytes of JSON, 10 KB, 1 MB."""

FULL = "full"
"""The case of the full chain; its answers are small ones."""
CASES = (*BODIES, FULL)

HOST = snapshots.PLAIN_HOST
CONNECTIONS = 64


@dataclass(frozen=True)
class Site:
    """Where a system is put."""

    directory: Path
    """Its own; configuration and logs."""
    port: int
    """To listen on."""
    admin_port: int
    upstream_port: int
    envoy: Path | None
    """Envoy's binary, when it is among the systems."""


@dataclass(frozen=True)
class System:
    """One entry of the registry."""

    name: str
    program: str | None
    """Debian program it needs; None when it brings its own."""
    command: Callable[[Site], list[str]]
    """Writes the configuration, says how to start it in the foreground."""
    version: Callable[[Site], str]
    cases: tuple[str, ...] = tuple(BODIES)
    """What it can be asked."""


def upstream_command(site: Site) -> list[str]:
    """nginx as the backend of all: constant files, kept-alive connections for ever."""
    root = site.directory / "files"
    root.mkdir(parents=True, exist_ok=True)
    for name, body in BODIES.items():
        (root / name).write_bytes(body)
    server = f"""
        listen 127.0.0.1:{site.port} backlog=1024;
        root {root};
        default_type application/json;
        sendfile on;
        tcp_nopush on;
        open_file_cache max=16;
        open_file_cache_valid 1h;
    """
    return _nginx(site, "", server)


def _nginx_proxy(site: Site) -> list[str]:
    upstream = f"""
        upstream backend {{
            server 127.0.0.1:{site.upstream_port};
            keepalive {CONNECTIONS};
            keepalive_requests 1000000000;
        }}
    """
    server = f"""
        listen 127.0.0.1:{site.port} backlog=1024;
        location / {{
            proxy_pass http://backend;
            proxy_http_version 1.1;
            proxy_set_header Connection "";
        }}
    """
    return _nginx(site, upstream, server)


def _nginx(site: Site, upstream: str, server: str) -> list[str]:
    temporary = "\n".join(
        f"        {kind}_temp_path {site.directory}/{kind};"
        for kind in ("client_body", "proxy", "fastcgi", "uwsgi", "scgi")
    )
    # Started as root, nginx would drop to a user who cannot read the working tree.
    user = "user root;" if os.geteuid() == 0 else ""
    (site.directory / "nginx.conf").write_text(
        f"""
    {user}
    daemon off;
    master_process off;
    worker_processes 1;
    pid {site.directory}/nginx.pid;
    error_log stderr error;
    events {{ worker_connections 1024; }}
    http {{
{temporary}
        access_log off;
        keepalive_timeout 1h;
        keepalive_requests 1000000000;
        {upstream}
        server {{
            {server}
        }}
    }}
    """
    )
    nginx = tools.program("nginx")
    assert nginx is not None
    configuration = str(site.directory / "nginx.conf")
    return [nginx, "-p", str(site.directory), "-c", configuration, "-e", "stderr"]


def _haproxy(site: Site) -> list[str]:
    configuration = site.directory / "haproxy.cfg"
    configuration.write_text(
        f"""
global
    nbthread 1
    maxconn 1024
defaults
    mode http
    option http-keep-alive
    http-reuse always
    timeout connect 5s
    timeout client 1h
    timeout server 1h
frontend front
    bind 127.0.0.1:{site.port} backlog 1024
    default_backend back
backend back
    server upstream 127.0.0.1:{site.upstream_port}
"""
    )
    haproxy = tools.program("haproxy")
    assert haproxy is not None
    return [haproxy, "-db", "-f", str(configuration)]


def body_of(case: str) -> bytes:
    """What answers a case."""
    return BODIES["small" if case == FULL else case]


def _envoy(site: Site) -> list[str]:
    return _envoy_with(site, {})


def _envoy_full(site: Site) -> list[str]:
    return _envoy_with(site, full.envoy_manager(site.directory / "access.log", "small"))


def _envoy_with(site: Site, more: dict[str, object]) -> list[str]:
    def address(port: int) -> dict[str, object]:
        return {"socket_address": {"address": "127.0.0.1", "port_value": port}}

    types = "type.googleapis.com/envoy.extensions.filters"
    connection_manager = {
        "@type": f"{types}.network.http_connection_manager.v3.HttpConnectionManager",
        "stat_prefix": "front",
        "route_config": {
            "virtual_hosts": [
                {
                    "name": "all",
                    "domains": ["*"],
                    "routes": [{"match": {"prefix": "/"}, "route": {"cluster": "upstream"}}],
                }
            ]
        },
        "http_filters": [
            {
                "name": "envoy.filters.http.router",
                "typed_config": {"@type": f"{types}.http.router.v3.Router"},
            }
        ],
        **more,
    }
    manager = "envoy.filters.network.http_connection_manager"
    chain = {"filters": [{"name": manager, "typed_config": connection_manager}]}
    endpoint = {"endpoint": {"address": address(site.upstream_port)}}
    configuration = {
        "static_resources": {
            "listeners": [
                {"name": "front", "address": address(site.port), "filter_chains": [chain]}
            ],
            "clusters": [
                {
                    "name": "upstream",
                    "type": "STATIC",
                    "connect_timeout": "5s",
                    "load_assignment": {
                        "cluster_name": "upstream",
                        "endpoints": [{"lb_endpoints": [endpoint]}],
                    },
                }
            ],
        }
    }
    path = site.directory / "envoy.json"
    path.write_text(json.dumps(configuration, indent=1))
    flags = ["--concurrency", "1", "--disable-hot-restart", "--log-level", "error"]
    return [str(site.envoy), "--config-path", str(path), *flags]


def _portico(workers: int) -> Callable[[Site], list[str]]:
    def command(site: Site) -> list[str]:
        path = site.directory / "snapshot.json"
        path.write_bytes(codec.encode(snapshots.plain(site.upstream_port, BODIES)))
        return portico_command(path, site, workers)

    return command


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


def _envoy_version(site: Site) -> str:
    # Its line begins with the path of the binary.
    line = tools.version_line([str(site.envoy), "--version"])
    return "envoy " + line.partition("version: ")[2]


def _version_of(program: str) -> Callable[[Site], str]:
    return lambda site: tools.version_line([tools.program(program) or program, "-v"])


REGISTRY: dict[str, System] = {
    system.name: system
    for system in (
        System("nginx", "nginx", _nginx_proxy, _version_of("nginx")),
        System("haproxy", "haproxy", _haproxy, _version_of("haproxy")),
        System("envoy", None, _envoy, _envoy_version),
        System("portico", None, _portico(1), _portico_version),
        System("portico-compiled", None, _portico_compiled, _portico_compiled_version),
        System("portico-2", None, _portico(2), _portico_version),
        System("envoy-full", None, _envoy_full, _envoy_version, (FULL,)),
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
    "portico",
    "portico-compiled",
    "envoy-full",
    "portico-full",
    "portico-full-compiled",
)
