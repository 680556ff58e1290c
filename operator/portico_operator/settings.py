"""Settings of an operator: command line and environment, checked.

Read by `__main__`; the chart passes what is named here (charts/portico/templates/operator).
Promises: wrong usage is a sentence and exit code 2, never a traceback.
"""

from __future__ import annotations

import argparse
import os
import secrets
import socket
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import NamedTuple, NoReturn

from portico_operator.election import TERMS, Terms

LEVELS = ("debug", "info", "warning", "error")


class DataPlane(NamedTuple):
    """Pods that serve the APIs of one class."""

    class_name: str
    """Name of the PorticoClass."""
    name: str
    """Of its Service and of its ServiceAccount, both in the operator's namespace."""


@dataclass(frozen=True, kw_only=True)
class OperatorSettings:
    """Everything that is decided outside."""

    namespace: str = "default"
    """The operator's own: Lease, CA, data-plane Services."""
    identity: str = "portico-operator"
    """Of this replica; unlike any other's."""
    lease: str = "portico-operator"
    """Name of the Lease."""
    terms: Terms = TERMS
    """Of the election."""
    patience: float = 5.0
    """Seconds that a new leader hears pods out before status calls one unreachable or behind: a
    failover must not flip the status of every object."""
    watch_namespaces: tuple[str, ...] = ()
    """Namespaces that are served; empty: all."""
    data_planes: tuple[DataPlane, ...] = (DataPlane("portico", "portico-dataplane"),)
    """Each of another class. Ready pods of its Service are the live ones; who shows a token of its
    account gets what its class may have, and no more."""
    stream_service: str = "portico-operator-stream"
    """Headless Service of the operator; its names are in the certificate."""
    ca_secret: str = "portico-ca"
    """Secret with the CA."""
    ca_bundle: str = "portico-ca-bundle"
    """ConfigMap with what pods should trust."""
    base_domain: str = "localhost"
    """Where no PorticoClass says one."""
    scheme: str = "http"
    """In the addresses that status shows."""
    public_port: int | None = None
    """In the addresses that status shows; None: the scheme's own."""
    host: str = ""
    """Address to listen on; empty: all."""
    stream_port: int = 8443
    """Configuration stream; 0 asks the system for a free one."""
    admin_port: int = 9901
    """Probes and metrics; 0 asks the system for a free one."""
    usage_port: int = 9902
    """Usage of plans, on loopback only; 0 asks the system for a free one."""
    key_generation: bool = False
    """It may create Secrets, for classes that have API keys generated."""
    kubeconfig: str | None = None
    """None: the pod's own credentials, else the usual kubeconfig."""
    log: str = "info"
    """Lowest level that is logged."""


def read(arguments: Sequence[str], environ: Mapping[str, str] = os.environ) -> OperatorSettings:
    """Settings, or `SystemExit(2)` with a sentence."""
    defaults = OperatorSettings()
    parser = _Parser(prog="python -m portico_operator", description=__doc__)
    parser.description = "The control plane of Portico: run one or more replicas in a cluster."
    add = parser.add_argument
    add("--namespace", default=environ.get("POD_NAMESPACE", defaults.namespace))
    add("--identity", default=environ.get("POD_NAME", socket.gethostname()))
    add("--lease", default=defaults.lease, metavar="NAME")
    add("--lease-seconds", type=_seconds, default=TERMS.duration, metavar="S")
    add("--patience-seconds", type=_patience, default=defaults.patience, metavar="S")
    add("--watch-namespace", action="append", default=[], metavar="NS", dest="watch")
    add("--data-plane", action="append", default=[], type=_data_plane, metavar="CLASS=NAME")
    add("--stream-service", default=defaults.stream_service, metavar="NAME")
    add("--ca-secret", default=defaults.ca_secret, metavar="NAME")
    add("--ca-bundle", default=defaults.ca_bundle, metavar="NAME")
    add("--base-domain", default=defaults.base_domain, metavar="DOMAIN")
    add("--scheme", choices=("http", "https"), default=defaults.scheme)
    add("--public-port", type=_port, default=None, metavar="PORT")
    add("--host", default=defaults.host)
    add("--stream-port", type=_port, default=defaults.stream_port)
    add("--admin-port", type=_port, default=defaults.admin_port)
    add("--usage-port", type=_port, default=defaults.usage_port)
    add("--generate-api-keys", action="store_true")
    add("--kubeconfig", default=environ.get("KUBECONFIG") or None, metavar="FILE")
    add("--log", default=environ.get("PORTICO_LOG", defaults.log).lower())
    found = parser.parse_args(arguments)
    if found.log not in LEVELS:
        parser.error(f"--log is one of {', '.join(LEVELS)}, not {found.log!r}")
    planes = _planes(parser, found.data_plane) or defaults.data_planes
    seconds: float = found.lease_seconds
    return OperatorSettings(
        namespace=found.namespace,
        # A pod that restarts has the name of the one before, which may still hold the Lease.
        identity=f"{found.identity}_{secrets.token_hex(4)}",
        lease=found.lease,
        terms=Terms(seconds, seconds / 5, seconds / 5),
        patience=found.patience_seconds,
        watch_namespaces=tuple(dict.fromkeys(found.watch)),
        data_planes=planes,
        stream_service=found.stream_service,
        ca_secret=found.ca_secret,
        ca_bundle=found.ca_bundle,
        base_domain=found.base_domain,
        scheme=found.scheme,
        public_port=found.public_port,
        host=found.host,
        stream_port=found.stream_port,
        admin_port=found.admin_port,
        usage_port=found.usage_port,
        key_generation=found.generate_api_keys,
        kubeconfig=found.kubeconfig,
        log=found.log,
    )


class _Parser(argparse.ArgumentParser):
    def error(self, message: str) -> NoReturn:
        self.exit(2, f"{self.prog}: {message}\n")


def _data_plane(text: str) -> DataPlane:
    class_name, _, name = text.partition("=")
    if not class_name or not name:
        raise argparse.ArgumentTypeError(
            f"{text!r} is not CLASS=NAME: a PorticoClass, and the name of the Service and the"
            " ServiceAccount of its data plane"
        )
    return DataPlane(class_name, name)


def _planes(parser: argparse.ArgumentParser, given: Sequence[DataPlane]) -> tuple[DataPlane, ...]:
    """One for each class; a pod must know by its account alone which one it is."""
    planes = tuple(dict.fromkeys(given))
    for field in DataPlane._fields:
        values = [getattr(plane, field) for plane in planes]
        twice = sorted({value for value in values if values.count(value) > 1})
        if twice:
            parser.error(f"--data-plane names {twice[0]} twice: one data plane for each class")
    return planes


def _port(text: str) -> int:
    if not text.isdecimal() or int(text) > 65535:
        raise argparse.ArgumentTypeError(f"{text!r} is not a port")
    return int(text)


def _seconds(text: str) -> float:
    return _between(text, 1, 300)


def _patience(text: str) -> float:
    return _between(text, 0, 300)


def _between(text: str, least: float, most: float) -> float:
    try:
        value = float(text)
    except ValueError:
        value = -1.0
    if not least <= value <= most:
        raise argparse.ArgumentTypeError(f"{text!r} is not between {least} and {most} seconds")
    return value
