"""The command line of `portico keys` and of other commands that act on a cluster.

Called by `main` when it makes its parser; imports nothing that takes time.
"""

from __future__ import annotations

import argparse
from collections.abc import Callable

Name = Callable[[str], str]


def add_cluster(command: argparse.ArgumentParser) -> None:
    """Which cluster, as kubectl asks."""
    command.add_argument("--kubeconfig", metavar="FILE", help="default: as kubectl finds it")
    command.add_argument("--context", metavar="NAME", help="default: the current one")


def add_keys(command: argparse.ArgumentParser, name: Name) -> None:
    """`create`, `list`, `enable` and `disable`."""
    actions = command.add_subparsers(title="actions", metavar="ACTION", required=True)
    _create(_action(actions, "create", "make a key and show its value once"), name)
    listing = _action(actions, "list", "list keys, without their values")
    _files(listing)
    listing.add_argument("-A", "--all-namespaces", action="store_true")
    listing.add_argument("-o", "--output", dest="format", choices=("text", "json"), default="text")
    for action, text in (
        ("disable", "refuse what a key opens (403), and keep it"),
        ("enable", "let a key open its stages again"),
    ):
        switch = _action(actions, action, text)
        switch.add_argument("name", metavar="NAME", type=name, help="of the ApiKey")
        _files(switch)


def _action(
    actions: argparse._SubParsersAction[argparse.ArgumentParser], name: str, text: str
) -> argparse.ArgumentParser:
    command = actions.add_parser(name, help=text, description=text, allow_abbrev=False)
    command.set_defaults(action=name)
    command.add_argument(
        "-n", "--namespace", help="default: that of the context; default with files"
    )
    add_cluster(command)
    return command


def _create(command: argparse.ArgumentParser, name: Name) -> None:
    command.add_argument("name", metavar="NAME", type=name, help="of the ApiKey and its Secret")
    command.add_argument(
        "--plan",
        dest="plans",
        metavar="PLAN",
        action="append",
        default=[],
        help="a UsagePlan, as name or namespace/name; may be repeated",
    )
    command.add_argument("--customer", default="", metavar="ID", help="customerId")
    command.add_argument(
        "--value-stdin",
        action="store_true",
        help="take the value from the first line of standard input (default: a random one)",
    )
    command.add_argument(
        "-o",
        "--output",
        metavar="FILE",
        help="write manifests to a new FILE, or - for stdout, instead of to a cluster",
    )


def _files(command: argparse.ArgumentParser) -> None:
    command.add_argument(
        "-f",
        "--filename",
        dest="paths",
        metavar="PATH",
        nargs="+",
        action="extend",
        help="manifests, instead of a cluster",
    )
