"""ClusterVault: the CA of the stream in a Secret, and what pods should trust in a ConfigMap.

Given to `delivery.authority`. Both objects exist, empty at first: the chart makes them, so that
the operator needs no leave to create Secrets. Promises: the Secret is written first and only while
it is what was read, so that of two holders one fails.
"""

from __future__ import annotations

import base64
import binascii
import datetime as dt
from typing import Any

import msgspec

from portico_ir.secrets import Redacted
from portico_operator.cluster.client import ApiError, KubeClient
from portico_operator.delivery.authority import Authority, Conflict, Stored

_KEY = "authority.json"
_BUNDLE = "ca.crt"
_MERGE = "application/merge-patch+json"


class _Authority(msgspec.Struct, frozen=True):
    certificate: str
    key: str
    made_at: dt.datetime
    expires_at: dt.datetime


class _Document(msgspec.Struct, frozen=True, omit_defaults=True):
    current: _Authority | None = None
    successor: _Authority | None = None
    published_at: dt.datetime | None = None
    former: str = ""
    retires_at: dt.datetime | None = None


class ClusterVault:
    """Implements `delivery.authority.Vault`."""

    def __init__(self, client: KubeClient, namespace: str, secret: str, bundle: str) -> None:
        self._client = client
        self._secret = f"/api/v1/namespaces/{namespace}/secrets/{secret}"
        self._bundle = f"/api/v1/namespaces/{namespace}/configmaps/{bundle}"

    async def read(self) -> Stored:
        """What is there; `ApiError` when one of the objects is missing."""
        secret = await self._client.get(self._secret)
        config = await self._client.get(self._bundle)
        document = _document((secret.get("data") or {}).get(_KEY))
        return Stored(
            current=_shown(document.current),
            successor=_shown(document.successor),
            published_at=document.published_at,
            former=document.former,
            retires_at=document.retires_at,
            bundle=str((config.get("data") or {}).get(_BUNDLE) or ""),
            version=_version(secret),
        )

    async def write(self, stored: Stored) -> Stored:
        """Keeps it; `Conflict` when somebody else was quicker."""
        document = _Document(
            current=_kept(stored.current),
            successor=_kept(stored.successor),
            published_at=stored.published_at,
            former=stored.former,
            retires_at=stored.retires_at,
        )
        encoded = base64.b64encode(msgspec.json.encode(document)).decode()
        patch = {"metadata": {"resourceVersion": stored.version}, "data": {_KEY: encoded}}
        try:
            secret = await self._client.send("PATCH", self._secret, patch, content_type=_MERGE)
        except ApiError as why:
            if why.status == 409:
                raise Conflict(str(why)) from why
            raise
        await self._client.send(
            "PATCH", self._bundle, {"data": {_BUNDLE: stored.bundle}}, content_type=_MERGE
        )
        return stored._replace(version=_version(secret))


def _version(raw: dict[str, Any]) -> str:
    return str((raw.get("metadata") or {}).get("resourceVersion") or "")


def _document(encoded: Any) -> _Document:
    """What cannot be read counts as absent: a new CA is better than none for ever."""
    if not isinstance(encoded, str):
        return _Document()
    try:
        return msgspec.json.decode(base64.b64decode(encoded), type=_Document)
    except (binascii.Error, ValueError, msgspec.MsgspecError):
        return _Document()


def _shown(kept: _Authority | None) -> Authority | None:
    if kept is None:
        return None
    return Authority(kept.certificate, Redacted(kept.key), kept.made_at, kept.expires_at)


def _kept(authority: Authority | None) -> _Authority | None:
    if authority is None:
        return None
    return _Authority(
        authority.certificate, authority.key.reveal(), authority.made_at, authority.expires_at
    )
