"""The other proxies, each as one worker on one thread, doing the same plain job.

Read by the registry in `systems`. Configurations are what a user would write for plain
pass-through with keep-alive both ways and no access log; nothing is tuned against anyone.
"""

from __future__ import annotations

import json
import os
from collections.abc import Callable

from benchmark import full, tools
from benchmark.sites import BODIES, CONNECTIONS, FULL, TLS, Site, System, certificate


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


def _nginx_plain(site: Site) -> list[str]:
    return _nginx_proxy(site, "")


def _nginx_tls(site: Site) -> list[str]:
    chain, key, _ = certificate(site)
    more = f"""
        ssl_certificate {chain};
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
    return _haproxy(site, f"ssl crt {certificate(site)[2]}")


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


def _envoy(site: Site) -> list[str]:
    return _envoy_with(site, {})


def _envoy_tls(site: Site) -> list[str]:
    chain, key, _ = certificate(site)
    pair = {
        "certificate_chain": {"filename": str(chain)},
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


def _caddy(site: Site) -> list[str]:
    return _caddy_with(site, {})


def _caddy_tls(site: Site) -> list[str]:
    chain, key, _ = certificate(site)
    pair = {"certificate": str(chain), "key": str(key), "tags": ["bench"]}
    return _caddy_with(site, {"tls": {"certificates": {"load_files": [pair]}}})


def _caddy_with(site: Site, tls: dict[str, object]) -> list[str]:
    proxy = {
        "handler": "reverse_proxy",
        "upstreams": [{"dial": f"127.0.0.1:{site.upstream_port}"}],
        "transport": {
            "protocol": "http",
            "keep_alive": {"max_idle_conns_per_host": CONNECTIONS, "idle_timeout": "1h"},
        },
    }
    server: dict[str, object] = {
        "listen": [f"127.0.0.1:{site.port}"],
        "protocols": ["h1"],
        "idle_timeout": "1h",
        "automatic_https": {"disable": True},
        "routes": [{"handle": [proxy]}],
    }
    if tls:
        # wrk names the address; by name alone there would be no certificate for it.
        chosen = {"certificate_selection": {"any_tag": ["bench"]}}
        server["tls_connection_policies"] = [chosen]
    configuration = {
        "admin": {"disabled": True, "config": {"persist": False}},
        "logging": {"logs": {"default": {"level": "ERROR"}}},
        "storage": {"module": "file_system", "root": str(site.directory / "storage")},
        "apps": {"http": {"servers": {"front": server}}, **tls},
    }
    path = site.directory / "caddy.json"
    path.write_text(json.dumps(configuration, indent=1))
    caddy = tools.program("caddy")
    assert caddy is not None
    # One core is all that it is given; Go would start threads for as many as it sees.
    return ["env", "GOMAXPROCS=1", caddy, "run", "--config", str(path)]


def _envoy_version(site: Site) -> str:
    # Its line begins with the path of the binary.
    line = tools.version_line([str(site.envoy), "--version"])
    return "envoy " + line.partition("version: ")[2]


def _caddy_version(site: Site) -> str:
    return "caddy " + tools.version_line([tools.program("caddy") or "caddy", "version"])


def _version_of(program: str) -> Callable[[Site], str]:
    return lambda site: tools.version_line([tools.program(program) or program, "-v"])


PEERS = (
    System("nginx", "nginx", _nginx_plain, _version_of("nginx")),
    System("haproxy", "haproxy", _haproxy_plain, _version_of("haproxy")),
    System("envoy", None, _envoy, _envoy_version),
    System("caddy", "caddy", _caddy, _caddy_version),
    System("nginx-tls", "nginx", _nginx_tls, _version_of("nginx"), (TLS,)),
    System("haproxy-tls", "haproxy", _haproxy_tls, _version_of("haproxy"), (TLS,)),
    System("envoy-tls", None, _envoy_tls, _envoy_version, (TLS,)),
    System("caddy-tls", "caddy", _caddy_tls, _caddy_version, (TLS,)),
    System("envoy-full", None, _envoy_full, _envoy_version, (FULL,)),
)
