"""UsageVault: usage in ConfigMaps of the operator's namespace, and summaries in plans' status.

Given to `keeping`. A day of a class is a ConfigMap, or several where there are very many keys.
Promises: the part that says up to where pods are counted is written last; what cannot be read is
reported and passed over; days nobody may ask for any more are deleted.
"""

from __future__ import annotations

import asyncio
import base64
import binascii
import gzip
import logging
import zlib
from collections.abc import Mapping, Sequence
from typing import Any, Final

import msgspec

from portico_ir.periods import date_of
from portico_ir.usage import KEPT_DAYS
from portico_operator.cluster.client import APPLY, ApiError, KubeClient
from portico_operator.cluster.resources import OURS, VERSION
from portico_operator.keeper import Sheet, Summary
from portico_operator.keeping import Unavailable

_log = logging.getLogger(__name__)

LABEL: Final = "portico.dev/usage"
"""On every ConfigMap; its value is the name of the Lease, so that releases do not mix."""
DAY_LABEL: Final = "portico.dev/usage-day"
KEYS_PER_PART: Final = 40_000
"""About 500 KB compressed: an object takes a megabyte."""
FIELD_MANAGER: Final = "portico-usage"
ACCURACY: Final = (
    "over by 1 % of a quota or one lease per worker at most, whichever is larger; "
    "the last request can be made"
)
"""design.md §7."""
_ENTRY: Final = "sheet"
_TIMEOUT_S: Final = 2.0
"""Shorter than the margin of a Lease: a write must not outlive our leading."""
_APPLY: Final = {"fieldManager": FIELD_MANAGER, "force": "true"}


class UsageVault:
    """Implements `keeping.Vault` and `keeping.Noticeboard`."""

    def __init__(self, client: KubeClient, namespace: str, lease: str) -> None:
        self._client = client
        self._namespace = namespace
        self._lease = lease
        self._collection = f"/api/v1/namespaces/{namespace}/configmaps"
        self._tidied = 0

    # keeping.Vault

    async def load(self) -> list[Sheet]:
        """All that was saved."""
        try:
            found = await self._client.get(
                self._collection, {"labelSelector": f"{LABEL}={self._lease}"}
            )
        except ApiError as why:
            raise Unavailable(str(why)) from why
        items = found.get("items") if isinstance(found, dict) else None
        # Ninety days of many keys take a while to unpack.
        return await asyncio.to_thread(_sheets, items if isinstance(items, list) else [])

    async def save(self, sheets: Sequence[Sheet]) -> None:
        """Keep these, in this order."""
        for sheet in sheets:
            # The part with the holders comes last: what it says is counted is there by then.
            for number, part in reversed(list(enumerate(_parts(sheet)))):
                await self._write(part, number, await asyncio.to_thread(_packed, part))
        today = max((sheet.day for sheet in sheets), default=0)
        if today > self._tidied:
            await self._delete_old(today)
            self._tidied = today

    async def _write(self, sheet: Sheet, number: int, packed: str) -> None:
        name = _name(self._lease, sheet.class_name, sheet.day, number)
        labels = {LABEL: self._lease, DAY_LABEL: date_of(sheet.day).isoformat()}
        body = {
            "apiVersion": "v1",
            "kind": "ConfigMap",
            "metadata": {"name": name, "namespace": self._namespace, "labels": labels},
            "binaryData": {_ENTRY: packed},
        }
        await self._apply(f"{self._collection}/{name}", body)

    async def _delete_old(self, today: int) -> None:
        kept = ",".join(date_of(day).isoformat() for day in range(today - KEPT_DAYS, today + 2))
        selector = f"{LABEL}={self._lease},{DAY_LABEL} notin ({kept})"
        try:
            await self._client.request(
                "DELETE", self._collection, params={"labelSelector": selector}, timeout=_TIMEOUT_S
            )
        except ApiError as why:
            raise Unavailable(str(why)) from why

    # keeping.Noticeboard

    async def show(self, summaries: Mapping[str, Summary]) -> None:
        """In the status of each plan; one that is gone by now is passed over."""
        resource = OURS["UsagePlan"]
        for plan, summary in summaries.items():
            namespace, _, name = plan.partition("/")
            body = {
                "apiVersion": f"{resource.group}/{VERSION}",
                "kind": "UsagePlan",
                "metadata": {"name": name, "namespace": namespace},
                "status": {"usage": _shown(summary)},
            }
            try:
                await self._apply(resource.path(namespace, name, "status"), body)
            except Unavailable as why:
                cause = why.__cause__
                if not isinstance(cause, ApiError) or cause.status != 404:
                    raise

    async def _apply(self, path: str, body: Mapping[str, Any]) -> None:
        try:
            await self._client.request(
                "PATCH", path, params=_APPLY, body=body, content_type=APPLY, timeout=_TIMEOUT_S
            )
        except ApiError as why:
            raise Unavailable(str(why)) from why


def _shown(summary: Summary) -> dict[str, Any]:
    return {
        "requests": summary.requests,
        "today": summary.today,
        "keys": summary.keys,
        "periodStart": date_of(summary.starts).isoformat(),
        "periodEnd": date_of(summary.ends).isoformat(),
        "accuracy": ACCURACY,
    }


def _name(lease: str, class_name: str, day: int, number: int) -> str:
    name = f"{lease}-usage-{class_name}-{date_of(day).isoformat()}"
    return f"{name}-{number}" if number else name


def _parts(sheet: Sheet) -> list[Sheet]:
    """The sheet in pieces that fit into an object; the first one has the holders."""
    count = 1
    while count * KEYS_PER_PART < max(map(len, sheet.usage.values()), default=0):
        count *= 2
    if count == 1:
        return [sheet]
    usage: list[dict[str, dict[str, int]]] = [{} for _ in range(count)]
    for plan, keys in sheet.usage.items():
        for key, requests in keys.items():
            part = usage[zlib.crc32(key.encode()) & (count - 1)]
            part.setdefault(plan, {})[key] = requests
    first = msgspec.structs.replace(sheet, usage=usage[0])
    rest = [
        msgspec.structs.replace(sheet, usage=each, holders={}, extensions=()) for each in usage[1:]
    ]
    return [first, *rest]


def _packed(sheet: Sheet) -> str:
    return base64.b64encode(gzip.compress(msgspec.json.encode(sheet), mtime=0)).decode()


def _sheets(items: list[Any]) -> list[Sheet]:
    """One for each class and day. Parts overlap while their number changes; counts only grow."""
    found: dict[tuple[str, int], Sheet] = {}
    for item in items:
        sheet = _sheet(item)
        if sheet is None:
            continue
        place = (sheet.class_name, sheet.day)
        other = found.get(place)
        found[place] = sheet if other is None else _joined(other, sheet)
    return list(found.values())


def _joined(one: Sheet, other: Sheet) -> Sheet:
    usage = {plan: dict(keys) for plan, keys in one.usage.items()}
    for plan, keys in other.usage.items():
        into = usage.setdefault(plan, {})
        for key, requests in keys.items():
            into[key] = max(requests, into.get(key, 0))
    return msgspec.structs.replace(
        one,
        usage=usage,
        holders=one.holders or other.holders,
        extensions=one.extensions or other.extensions,
    )


def _sheet(item: Any) -> Sheet | None:
    name = "a ConfigMap"
    try:
        name = item["metadata"]["name"]
        packed = base64.b64decode(item["binaryData"][_ENTRY], validate=True)
        return msgspec.json.decode(gzip.decompress(packed), type=Sheet)
    except (
        KeyError,
        TypeError,
        EOFError,
        OSError,
        binascii.Error,
        zlib.error,
        msgspec.MsgspecError,
    ) as why:
        _log.error("usage in %s cannot be read: %s", name, why)
        return None
