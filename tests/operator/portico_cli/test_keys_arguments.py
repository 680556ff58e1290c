"""The command line of `portico keys`."""

from __future__ import annotations

import argparse

from portico_cli.keys_arguments import add_keys


def parsed(*arguments: str) -> argparse.Namespace:
    parser = argparse.ArgumentParser()
    add_keys(parser, str)
    return parser.parse_args(arguments)


def test_plans_may_be_repeated() -> None:
    assert parsed("create", "a").plans == []
    assert parsed("create", "a", "--plan", "x", "--plan", "y/z").plans == ["x", "y/z"]


def test_every_action_takes_a_cluster() -> None:
    for action in (["create", "a"], ["list"], ["enable", "a"], ["disable", "a"]):
        found = parsed(*action, "--context", "c", "--kubeconfig", "k", "-n", "ns")
        assert (found.action, found.context, found.kubeconfig, found.namespace) == (
            action[0],
            "c",
            "k",
            "ns",
        )


def test_files_instead_of_a_cluster() -> None:
    assert parsed("list", "-f", "a", "b").paths == ["a", "b"]
    assert parsed("disable", "k", "-f", "a").paths == ["a"]
