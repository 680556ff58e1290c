"""Settings of a data-plane process: where it listens, how it ends, what it tolerates.

Made once, by `parse` from a command line or by `portico dev` directly; read by the supervisor,
the workers (it crosses the channel as plain data) and the HTTP path. Promises: frozen; every
default is what design.md §6 and §13 state; wrong usage exits 2 with one line, as argparse does.
"""

from __future__ import annotations

import argparse
import math
import os
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, fields
from pathlib import Path
from typing import Literal, cast, get_args

from portico_dataplane.limit_arguments import add_limits, positive, seconds

AccessLog = Literal["off", "stage", "dev"]
LogLevel = Literal["debug", "info", "warning", "error"]

_MAX_WORKERS = 512
_TLS_PORT = 8443
_AS_PORT = -1
"""Not given: 8443, or a free one where the traffic port is a free one."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Settings:
    """Everything a process is told before it sees configuration. Durations are seconds."""

    # Where.
    host: str = ""
    """Address or name to listen on; empty: every address, IPv4 and IPv6."""
    port: int = 8080
    """Traffic port; 0 asks the system for a free one."""
    tls_port: int | None = None
    """Port where TLS ends here; 0 asks the system for a free one; None: there is none."""
    proxy_protocol: bool = False
    """Both ports: a load balancer among `trustedProxies` names the client first; nobody else is
    let in."""
    tls_certificate: str = ""
    """File of the certificate shown to names that no domain has one for; read when it changes."""
    tls_key: str = ""
    """File of its key."""
    tls_self_signed: bool = False
    """Those names get a certificate that nobody signed (development)."""
    admin_host: str = "127.0.0.1"
    """Address of the admin port. Elsewhere than on loopback it serves probes and metrics only."""
    admin_port: int = 9901
    """Admin port; 0 asks the system for a free one."""
    admin_socket: str = ""
    """Path of a Unix socket (0600) that serves all of the admin port; empty: none."""
    workers: int = 1
    """Worker processes."""
    snapshot: str = ""
    """File to serve; read again on SIGHUP. Empty: an operator says what to serve."""
    operators: tuple[str, ...] = ()
    """`HOST:PORT` of operators; every address of each name is one."""
    token_file: str = ""
    """Token shown to operators; read again at each connection."""
    ca_file: str = ""
    """Authorities of operators' certificates; read again when it changes."""
    last_good: str = ""
    """Directory that keeps the last good snapshot; empty: none is kept."""
    last_good_after_s: float = 15.0
    """At start, without any operator's configuration: then the last good snapshot serves."""
    fallback_after_s: float = 10.0
    """Without a stream: then ClusterIPs may stand in for addresses that all fail."""

    # How it ends.
    drain_delay_s: float = 5.0
    """After SIGTERM: not ready, but still accepting, until endpoint lists have caught up."""
    drain_seconds: float = 30.0
    """After that: how long requests in flight may take before they are cut."""

    # What it says.
    access_log: AccessLog = "stage"
    """`stage`: where accessLogSettings ask for it; `dev`: also one short line per request."""
    log_level: LogLevel = "info"
    """Least severe level of the operators' log (PORTICO_LOG)."""
    max_label_sets: int = 10_000
    """Label sets kept per family of metrics; whatever comes later counts as `other`."""

    # What a client may do (design.md §13).
    head_timeout_s: float = 10.0
    """From the first byte of a head to its last."""
    line_limit: int = 8_192
    """Bytes of the request line."""
    head_limit: int = 10_240
    """Bytes of the header block; of trailers too."""
    max_headers: int = 100
    """Header fields."""
    idle_timeout_s: float = 60.0
    """A keep-alive connection without a request."""
    body_timeout_s: float = 30.0
    """A request body in which not one byte arrives."""
    min_body_rate: int = 240
    """Bytes per second a request body must average once `body_timeout_s` has passed."""
    write_timeout_s: float = 60.0
    """A client that is behind with reading its answer."""
    min_write_rate: int = 240
    """Bytes per second it must take meanwhile, over each `write_timeout_s`."""
    pipeline_limit: int = 65_536
    """Bytes kept unparsed while a request is in progress; then reading pauses."""
    max_connections: int = 20_000
    """Open client connections per worker; beyond, new ones are answered 503 and closed."""
    max_connections_per_client: int = 0
    """Of them, those of one address (IPv6: /64) that is not among `trustedProxies`; beyond, new
    ones are cut. 0: any number."""
    max_in_flight: int = 10_000
    """Requests under way per worker; one API has at most what is left, a backend half as much."""
    overload_lag_s: float = 0.5
    """While the event loop is as late as that, new requests are answered 503; 0: never."""
    max_connection_age_s: float = 3_600.0
    """A connection is closed politely after about this long (± 10 %), so that load evens out."""
    max_connection_requests: int = 100_000
    """And after about this many requests."""
    tls_max_handshakes: int = 1_024
    """TLS connections per worker that may be in their handshake; beyond, new ones are cut."""
    tls_contexts: int = 1_024
    """Certificates kept ready per worker; one that was not asked for longest is read again."""
    backlog: int = 2_048
    """Connections the kernel queues per worker."""

    # What is done towards upstreams.
    connect_timeout_s: float = 5.0
    """To open one upstream connection, name lookup and TLS included."""
    upstream_max_connections: int = 512
    """Open connections per endpoint and worker; further requests wait for one."""
    upstream_max_waiting: int = 1_024
    """Requests that may wait so per endpoint and worker; further ones answer 503."""
    upstream_max_idle: int = 128
    """Idle connections kept per endpoint and worker."""
    upstream_idle_timeout_s: float = 55.0
    """An idle one is closed after this; sooner when the upstream's Keep-Alive says so."""
    upstream_body_timeout_s: float = 300.0
    """Between two chunks of an upstream's body (AWS §3.20: 5 min)."""
    upstream_head_limit: int = 65_536
    """Bytes of an upstream's response head."""
    upstream_max_headers: int = 200
    """Header fields of an upstream's response."""
    eject_after_errors: int = 5
    """Answers 5xx in a row, after which one of several addresses is left alone; 0: never."""


def cpu_limit(cgroup: Path = Path("/sys/fs/cgroup")) -> int:
    """Whole processors this process may use: affinity, and the container's quota rounded up."""
    try:
        count = len(os.sched_getaffinity(0))
    except AttributeError:  # not Linux
        count = os.cpu_count() or 1
    # Version 2 has both numbers in one file; of version 1 there are nodes still.
    for names in (("cpu.max",), ("cpu/cpu.cfs_quota_us", "cpu/cpu.cfs_period_us")):
        try:
            quota, period = " ".join((cgroup / name).read_text() for name in names).split()
            if quota not in ("max", "-1"):
                count = min(count, math.ceil(int(quota) / int(period)))
            break
        except (OSError, ValueError, ZeroDivisionError):
            pass  # what remains is affinity
    return max(1, count)


def parse(argv: Sequence[str], environ: Mapping[str, str]) -> Settings:
    """Settings of `python -m portico_dataplane`; exits 2 on wrong usage."""
    parser = _parser()
    given = parser.parse_args(argv)
    level = environ.get("PORTICO_LOG", "info").lower()
    if level not in get_args(LogLevel):
        parser.error(f"PORTICO_LOG must be one of {', '.join(get_args(LogLevel))}, not {level!r}")
    if given.port == given.admin_port != 0:
        parser.error("--admin-port must differ from --port: it is never served with traffic")
    if given.tls_port == _AS_PORT:
        given.tls_port = 0 if given.port == 0 else _TLS_PORT
    if given.tls_port and given.tls_port in (given.port, given.admin_port):
        parser.error(f"--tls-port must differ from the other ports, not {given.tls_port}")
    if bool(given.tls_certificate) != bool(given.tls_key):
        parser.error("--tls-certificate and --tls-key go together")
    if given.operators and not (given.token_file and given.ca_file):
        parser.error("--operator needs --token-file and --ca-file")
    given.operators = tuple(given.operators)
    known = {field.name for field in fields(Settings)}
    values = {name: value for name, value in vars(given).items() if name in known}
    return Settings(log_level=cast("LogLevel", level), **values)


def _parser() -> argparse.ArgumentParser:
    default = Settings()
    parser = argparse.ArgumentParser(
        prog="python -m portico_dataplane",
        description="Serve what an operator streams, or a compiled snapshot "
        "(portico compile -o snapshot.json).",
        allow_abbrev=False,
    )
    add = parser.add_argument
    _add_sources(parser, default)
    add("--host", default=default.host, help="address to listen on (default: all)")
    add("--port", type=_port, default=default.port, help="traffic port (default: 8080)")
    _add_tls(parser)
    add(
        "--workers",
        type=_workers,
        default=cpu_limit(),
        metavar="N",
        help="worker processes (default: the CPU limit)",
    )
    add("--admin-host", default=default.admin_host, help="default: 127.0.0.1")
    add("--admin-port", type=_port, default=default.admin_port, help="default: 9901")
    add("--admin-socket", default="", metavar="PATH", help="serve all of the admin port here too")
    add(
        "--drain-delay",
        dest="drain_delay_s",
        type=seconds,
        default=default.drain_delay_s,
        metavar="SECONDS",
        help="keep accepting this long after SIGTERM (default: 5)",
    )
    add(
        "--drain-seconds",
        type=seconds,
        default=default.drain_seconds,
        metavar="SECONDS",
        help="then let requests in flight take this long (default: 30)",
    )
    add("--access-log", choices=get_args(AccessLog), default=default.access_log)
    add(
        "--max-label-sets",
        type=positive,
        default=default.max_label_sets,
        metavar="N",
        help="bound of metric cardinality (default: 10000)",
    )
    add_limits(parser, default)
    return parser


def _add_tls(parser: argparse.ArgumentParser) -> None:
    """How TLS is served, and what stands in front."""
    add = parser.add_argument
    add(
        "--tls-port",
        type=tls_port,
        default=_AS_PORT,
        metavar="PORT",
        help="TLS port; `off`: none (default: 8443; with --port 0 a free one)",
    )
    add(
        "--tls-certificate",
        default="",
        metavar="FILE",
        help="certificate (PEM) for names that no DomainName has one for",
    )
    add("--tls-key", default="", metavar="FILE", help="its key (PEM)")
    add(
        "--proxy-protocol",
        action="store_true",
        help="take the client's address from the PROXY protocol of trustedProxies; refuse others",
    )


def _add_sources(parser: argparse.ArgumentParser, default: Settings) -> None:
    """Where configuration comes from."""
    add = parser.add_argument
    source = parser.add_mutually_exclusive_group(required=True)
    source.add_argument(
        "--snapshot", default="", metavar="FILE", help="snapshot to serve; SIGHUP reloads it"
    )
    source.add_argument(
        "--operator",
        dest="operators",
        type=_operator,
        action="append",
        default=[],
        metavar="HOST:PORT",
        help="operator to take configuration from; may be given again",
    )
    add("--token-file", default="", metavar="FILE", help="token to show to operators")
    add("--ca-file", default="", metavar="FILE", help="authorities of operators' certificates")
    add("--last-good", default="", metavar="DIR", help="keep the last good snapshot here")
    add(
        "--last-good-after",
        dest="last_good_after_s",
        type=seconds,
        default=default.last_good_after_s,
        metavar="SECONDS",
        help="serve it after so long without an operator (default: 15)",
    )
    add(
        "--fallback-after",
        dest="fallback_after_s",
        type=seconds,
        default=default.fallback_after_s,
        metavar="SECONDS",
        help="without a stream, until ClusterIPs stand in for dead addresses (default: 10)",
    )


def _port(text: str) -> int:
    if not text.isascii() or not text.isdigit() or int(text) > 65_535:
        raise argparse.ArgumentTypeError(f"{text!r} is not a port (0 to 65535)")
    return int(text)


def tls_port(text: str) -> int | None:
    """A port, or None for `off` and nothing."""
    return None if text in ("", "off") else _port(text)


def _operator(text: str) -> str:
    host, _, port = text.rpartition(":")
    bracketed = host.startswith("[") and host.endswith("]")
    if not host or (":" in host and not bracketed) or _port(port) == 0:
        raise argparse.ArgumentTypeError(f"{text!r} is not HOST:PORT")
    return text


def _workers(text: str) -> int:
    workers = positive(text)
    if workers > _MAX_WORKERS:
        raise argparse.ArgumentTypeError(f"at most {_MAX_WORKERS}")
    return workers
