"""API keys of a cluster: ApiKeys, each owning the Secret with its value.

Used by `keys`. Promises: a key that could not be made whole leaves nothing behind; deleting an
ApiKey takes the value along.
"""

from __future__ import annotations

from portico_cli.apikeys import KeyFault, KeyRow, NewKey, row_of
from portico_cli.cluster import Cluster, ClusterFault

PLURAL = "apikeys"


class ClusterKeys:
    """Implements KeyStore."""

    def __init__(self, cluster: Cluster) -> None:
        self._cluster = cluster

    def create(self, key: NewKey) -> None:
        """The ApiKey first, because it owns the Secret; until that is there it opens nothing."""
        try:
            made = self._cluster.create(PLURAL, key.api_key())
        except ClusterFault as fault:
            raise KeyFault(str(fault)) from fault
        secret = key.secret()
        secret["metadata"]["ownerReferences"] = [
            {
                "apiVersion": made["apiVersion"],
                "kind": made["kind"],
                "name": key.name,
                "uid": made["metadata"]["uid"],
            }
        ]
        try:
            self._cluster.create_secret(secret)
        except ClusterFault as fault:
            self._take_back(key, fault)

    def _take_back(self, key: NewKey, why: ClusterFault) -> None:
        try:
            self._cluster.delete(PLURAL, key.namespace, key.name)
        except ClusterFault as fault:
            name = f"{key.namespace}/{key.name}"
            message = f"{why}; ApiKey {name} is left without a value: {fault}"
            raise KeyFault(message) from fault
        raise KeyFault(str(why)) from why

    def rows(self, namespace: str | None) -> list[KeyRow]:
        """Every key, without its value."""
        try:
            return [row_of(document) for document in self._cluster.list(PLURAL, namespace)]
        except ClusterFault as fault:
            raise KeyFault(str(fault)) from fault

    def enable(self, namespace: str, name: str, enabled: bool) -> None:
        """spec.enabled, and nothing else."""
        try:
            self._cluster.patch(PLURAL, namespace, name, {"spec": {"enabled": enabled}})
        except ClusterFault as fault:
            raise KeyFault(str(fault)) from fault
