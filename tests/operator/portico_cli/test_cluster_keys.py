"""Keys of a cluster: what is made in which order; on a real API server in tests/cluster."""

from __future__ import annotations

from typing import Any, cast

import pytest

from portico_cli.apikeys import KeyFault, NewKey
from portico_cli.cluster import Cluster, ClusterFault
from portico_cli.cluster_keys import ClusterKeys

KEY = NewKey("acme", "shop", ("gold",), "", "v" * 20)


class Calls:
    """Notes what is asked of the API server; refuses what it is told to."""

    def __init__(self, *refused: str) -> None:
        self.made: list[tuple[str, Any]] = []
        self._refused = refused

    def _note(self, call: str, about: Any) -> None:
        self.made.append((call, about))
        if call in self._refused:
            raise ClusterFault(f"no {call}", 403)

    def create(self, plural: str, body: dict[str, Any]) -> dict[str, Any]:
        self._note("create", plural)
        return {**body, "metadata": {**body["metadata"], "uid": "u-1"}}

    def create_secret(self, body: dict[str, Any]) -> None:
        self._note("create_secret", body["metadata"]["ownerReferences"][0]["uid"])

    def delete(self, plural: str, namespace: str, name: str) -> None:
        self._note("delete", f"{namespace}/{name}")

    def patch(self, plural: str, namespace: str, name: str, body: dict[str, Any]) -> None:
        self._note("patch", body)

    def list(self, plural: str, namespace: str | None) -> list[dict[str, Any]]:
        self._note("list", namespace)
        return [KEY.api_key()]


def keys(calls: Calls) -> ClusterKeys:
    return ClusterKeys(cast("Cluster", calls))


def test_the_key_owns_its_secret() -> None:
    calls = Calls()
    keys(calls).create(KEY)
    assert calls.made == [("create", "apikeys"), ("create_secret", "u-1")]


def test_what_could_not_be_made_whole_is_taken_back() -> None:
    calls = Calls("create_secret")
    with pytest.raises(KeyFault, match="no create_secret"):
        keys(calls).create(KEY)
    assert calls.made[-1] == ("delete", "shop/acme")
    with pytest.raises(KeyFault, match="is left without a value"):
        keys(Calls("create_secret", "delete")).create(KEY)


def test_a_key_that_exists_stays_as_it_is() -> None:
    calls = Calls("create")
    with pytest.raises(KeyFault, match="no create"):
        keys(calls).create(KEY)
    assert calls.made == [("create", "apikeys")]


def test_one_field_is_switched() -> None:
    calls = Calls()
    keys(calls).enable("shop", "acme", False)
    assert calls.made == [("patch", {"spec": {"enabled": False}})]
    with pytest.raises(KeyFault):
        keys(Calls("patch")).enable("shop", "acme", False)


def test_rows() -> None:
    (row,) = keys(Calls()).rows(None)
    assert (row.namespace, row.name) == ("shop", "acme")
    with pytest.raises(KeyFault):
        keys(Calls("list")).rows("shop")
