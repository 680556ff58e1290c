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
from portico_dataplane.effects.self_signed import SelfSigned
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
TLS = "tls"
"""The case of TLS 1.3 on kept-alive connections; its answers are small ones too."""
CASES = (*BODIES, TLS, FULL)

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


def _certificate(site: Site) -> tuple[Path, Path, Path]:
    """A certificate, its key, and both in one file: ECDSA P-256, as all of them would have."""
    made = SelfSigned().certificate("localhost")
    assert made is not None
    key = made.key.reveal()
    paths = [site.directory / f"tls.{kind}" for kind in ("crt", "key", "pem")]
    for path, text in zip(paths, (made.chain, key, made.chain + key), strict=True):
        path.write_text(text)
    return paths[0], paths[1], paths[2]


def _nginx_plain(site: Site) -> list[str]:
    return _nginx_proxy(site, "")


def _nginx_tls(site: Site) -> list[str]:
    certificate, key, _ = _certificate(site)
    more = f"""
        ssl_certificate {certificate};
        ssl_certificate_key {key};
        ssl_protocols TLSv1.2 TLSv1.3;
    """
    return _nginx_proxy(site, more)


def _nginx_proxy(site: Site, tls: str) -> list[str]:
    upstream = f"""
        upstream backend {{
            server 127.0.0.1:{site.upstream_port};
            keepalive {CONNECTIONS};
            keepalive_requests 1000000000;
        }}
    """
    server = f"""
        listen 127.0.0.1:{site.port} {"ssl" if tls else ""} backlog=1024;
        {tls}
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


def _haproxy_plain(site: Site) -> list[str]:
    return _haproxy(site, "")


def _haproxy_tls(site: Site) -> list[str]:
    return _haproxy(site, f"ssl crt {_certificate(site)[2]}")


def _haproxy(site: Site, tls: str) -> list[str]:
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
    bind 127.0.0.1:{site.port} {tls} backlog 1024
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
    return BODIES["small" if case in (FULL, TLS) else case]


def _envoy(site: Site) -> list[str]:
    return _envoy_with(site, {})


def _envoy_tls(site: Site) -> list[str]:
    certificate, key, _ = _certificate(site)
    pair = {
        "certificate_chain": {"filename": str(certificate)},
        "private_key": {"filename": str(key)},
    }
    extension = "envoy.extensions.transport_sockets.tls.v3.DownstreamTlsContext"
    context = {
        "@type": f"type.googleapis.com/{extension}",
        "common_tls_context": {"tls_certificates": [pair], "alpn_protocols": ["http/1.1"]},
    }
    return _envoy_with(site, {}, {"name": "envoy.transport_sockets.tls", "typed_config": context})


def _envoy_full(site: Site) -> list[str]:
    return _envoy_with(site, full.envoy_manager(site.directory / "access.log", "small"))


def _envoy_with(
    site: Site, more: dict[str, object], tls: dict[str, object] | None = None
) -> list[str]:
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
    chain: dict[str, object] = {
        "filters": [{"name": manager, "typed_config": connection_manager}],
        **({"transport_socket": tls} if tls else {}),
    }
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


def _portico_tls(site: Site) -> list[str]:
    path = site.directory / "snapshot.json"
    path.write_bytes(codec.encode(snapshots.plain(site.upstream_port, BODIES)))
    certificate, key, _ = _certificate(site)
    tls = ("--port", "0", "--tls-port", str(site.port))
    files = ("--tls-certificate", str(certificate), "--tls-key", str(key))
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


def _envoy_version(site: Site) -> str:
    # Its line begins with the path of the binary.
    line = tools.version_line([str(site.envoy), "--version"])
    return "envoy " + line.partition("version: ")[2]


def _version_of(program: str) -> Callable[[Site], str]:
    return lambda site: tools.version_line([tools.program(program) or program, "-v"])


REGISTRY: dict[str, System] = {
    system.name: system
    for system in (
        System("nginx", "nginx", _nginx_plain, _version_of("nginx")),
        System("haproxy", "haproxy", _haproxy_plain, _version_of("haproxy")),
        System("envoy", None, _envoy, _envoy_version),
        System("portico", None, _portico(1), _portico_version),
        System("portico-compiled", None, _portico_compiled, _portico_compiled_version),
        System("portico-2", None, _portico(2), _portico_version),
        System("nginx-tls", "nginx", _nginx_tls, _version_of("nginx"), (TLS,)),
        System("haproxy-tls", "haproxy", _haproxy_tls, _version_of("haproxy"), (TLS,)),
        System("envoy-tls", None, _envoy_tls, _envoy_version, (TLS,)),
        System("portico-tls", None, _portico_tls, _portico_version, (TLS,)),
        System(
            "portico-tls-compiled",
            None,
            _portico_tls_compiled,
            _portico_compiled_version,
            (TLS,),
        ),
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
    "nginx-tls",
    "haproxy-tls",
    "envoy-tls",
    "portico-tls",
    "portico-tls-compiled",
    "envoy-full",
    "portico-full",
    "portico-full-compiled",
)
