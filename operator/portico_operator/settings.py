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
from typing import NoReturn

from portico_operator.election import TERMS, Terms

LEVELS = ("debug", "info", "warning", "error")


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
    watch_namespaces: tuple[str, ...] = ()
    """Namespaces that are served; empty: all."""
    class_name: str = "portico"
    """The PorticoClass whose data plane this is."""
    data_plane_service: str = "portico-dataplane"
    """Service of the data plane, in `namespace`: its ready pods are the live ones."""
    data_plane_account: str = "portico-dataplane"
    """ServiceAccount of the data plane, in `namespace`."""
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
    add("--watch-namespace", action="append", default=[], metavar="NS", dest="watch")
    add("--class", default=defaults.class_name, metavar="NAME", dest="class_name")
    add("--data-plane-service", default=defaults.data_plane_service, metavar="NAME")
    add("--data-plane-account", default=defaults.data_plane_account, metavar="NAME")
    add("--stream-service", default=defaults.stream_service, metavar="NAME")
    add("--ca-secret", default=defaults.ca_secret, metavar="NAME")
    add("--ca-bundle", default=defaults.ca_bundle, metavar="NAME")
    add("--base-domain", default=defaults.base_domain, metavar="DOMAIN")
    add("--scheme", choices=("http", "https"), default=defaults.scheme)
    add("--public-port", type=_port, default=None, metavar="PORT")
    add("--host", default=defaults.host)
    add("--stream-port", type=_port, default=defaults.stream_port)
    add("--admin-port", type=_port, default=defaults.admin_port)
    add("--kubeconfig", default=environ.get("KUBECONFIG") or None, metavar="FILE")
    add("--log", default=environ.get("PORTICO_LOG", defaults.log).lower())
    found = parser.parse_args(arguments)
    if found.log not in LEVELS:
        parser.error(f"--log is one of {', '.join(LEVELS)}, not {found.log!r}")
    seconds: float = found.lease_seconds
    return OperatorSettings(
        namespace=found.namespace,
        # A pod that restarts has the name of the one before, which may still hold the Lease.
        identity=f"{found.identity}_{secrets.token_hex(4)}",
        lease=found.lease,
        terms=Terms(seconds, seconds / 5, seconds / 5),
        watch_namespaces=tuple(dict.fromkeys(found.watch)),
        class_name=found.class_name,
        data_plane_service=found.data_plane_service,
        data_plane_account=found.data_plane_account,
        stream_service=found.stream_service,
        ca_secret=found.ca_secret,
        ca_bundle=found.ca_bundle,
        base_domain=found.base_domain,
        scheme=found.scheme,
        public_port=found.public_port,
        host=found.host,
        stream_port=found.stream_port,
        admin_port=found.admin_port,
        kubeconfig=found.kubeconfig,
        log=found.log,
    )


class _Parser(argparse.ArgumentParser):
    def error(self, message: str) -> NoReturn:
        self.exit(2, f"{self.prog}: {message}\n")


def _port(text: str) -> int:
    if not text.isdecimal() or int(text) > 65535:
        raise argparse.ArgumentTypeError(f"{text!r} is not a port")
    return int(text)


def _seconds(text: str) -> float:
    try:
        value = float(text)
    except ValueError:
        value = 0.0
    if not 1 <= value <= 300:
        raise argparse.ArgumentTypeError(f"{text!r} is not between 1 and 300 seconds")
    return value
