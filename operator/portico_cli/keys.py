"""`portico keys create|list|enable|disable`: API keys of a cluster, or of manifests.

Called by `main`. Promises: exit code 0, 1 when it could not be done, with the reason; the value of
a new key is all that is written to standard output, so that a script can take it.
"""

from __future__ import annotations

import argparse
import sys

from portico_cli import apikeys
from portico_cli.apikeys import KeyFault, KeyRow, KeyStore, NewKey
from portico_cli.render import Printer
from portico_operator.key_values import random_value


def run(options: argparse.Namespace) -> int:
    """One of the commands."""
    printer = Printer(sys.stderr)
    try:
        store = _store(options)
        act = {"create": _create, "list": _list}.get(options.action, _switch)
        act(options, store, printer)
    except KeyFault as fault:
        printer.line(str(fault), "red")
        return 1
    return 0


def _store(options: argparse.Namespace) -> KeyStore:
    if options.action == "create" and options.output is not None:
        from portico_cli.file_keys import NewKeyFile

        return NewKeyFile(options.output)
    if getattr(options, "paths", None):
        from portico_cli.file_keys import FileKeys

        return FileKeys(options.paths)
    from portico_cli.cluster import Cluster, ClusterFault
    from portico_cli.cluster_keys import ClusterKeys

    try:
        cluster = Cluster(options.kubeconfig, options.context)
    except ClusterFault as fault:
        raise KeyFault(str(fault)) from fault
    if options.namespace is None:
        options.namespace = cluster.namespace
    return ClusterKeys(cluster)


def _create(options: argparse.Namespace, store: KeyStore, printer: Printer) -> None:
    value = random_value()
    if options.value_stdin:
        value = sys.stdin.readline().rstrip("\r\n")
        if fault := apikeys.value_fault(value):
            raise KeyFault(fault)
    key = NewKey(
        options.name,
        options.namespace or "default",
        tuple(options.plans),
        options.customer,
        value,
    )
    store.create(key)
    name = f"{key.namespace}/{key.name}"
    if not key.plans:
        printer.line(f"ApiKey {name} is in no usage plan yet, so it opens nothing", "yellow")
    if options.output == "-":
        return  # the manifests hold it
    if options.value_stdin:
        printer.line(f"ApiKey {name} is made", "green")
        return
    printer.line(f"ApiKey {name} is made; its value, shown this once:", "green")
    sys.stdout.write(f"{value}\n")


def _list(options: argparse.Namespace, store: KeyStore, printer: Printer) -> None:
    rows = apikeys.sorted_rows(store.rows(None if options.all_namespaces else options.namespace))
    if options.format == "json":
        Printer().json([row._asdict() for row in rows])
        return
    if not rows:
        printer.line("no API keys")
        return
    head = ("NAMESPACE", "NAME", "ENABLED", "PLANS", "CUSTOMER", "SECRET")
    Printer().table(head, [_cells(row) for row in rows])


def _cells(row: KeyRow) -> list[str]:
    enabled = "true" if row.enabled else "false"
    plans = ",".join(row.plans) or "<none>"
    return [row.namespace, row.name, enabled, plans, row.customer, row.secret]


def _switch(options: argparse.Namespace, store: KeyStore, printer: Printer) -> None:
    on = options.action == "enable"
    namespace = options.namespace or "default"
    store.enable(namespace, options.name, on)
    printer.line(f"ApiKey {namespace}/{options.name} is {options.action}d", "green")
