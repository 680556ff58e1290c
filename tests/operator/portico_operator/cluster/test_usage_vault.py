"""Usage in ConfigMaps: what is saved is loaded; what cannot be read costs nothing else."""

from __future__ import annotations

from typing import Any, cast

import pytest

from portico_operator.cluster import usage_vault
from portico_operator.cluster.client import ApiError, KubeClient
from portico_operator.cluster.usage_vault import UsageVault
from portico_operator.keeper import Sheet, Summary
from portico_operator.keeping import Unavailable


class Server:
    """ConfigMaps and statuses that were applied, by path."""

    def __init__(self) -> None:
        self.applied: dict[str, Any] = {}
        self.deleted: list[str] = []
        self.refuses: ApiError | None = None

    async def get(self, path: str, params: dict[str, str]) -> Any:
        if self.refuses is not None:
            raise self.refuses
        return {"items": list(self.applied.values())}

    async def request(self, method: str, path: str, **options: Any) -> Any:
        if self.refuses is not None:
            raise self.refuses
        if method == "DELETE":
            self.deleted.append(options["params"]["labelSelector"])
        else:
            self.applied[path] = options["body"]
        return {}


def vault(server: Server) -> UsageVault:
    return UsageVault(cast("KubeClient", server), "system", "lease")


SHEET = Sheet(class_name="c", day=20_000, usage={"gold": {"k": 7}}, holders={"pod": 3})


async def test_what_is_saved_is_loaded() -> None:
    server = Server()
    await vault(server).save([SHEET])
    assert await vault(server).load() == [SHEET]
    (body,) = server.applied.values()
    assert body["metadata"]["labels"]["portico.dev/usage"] == "lease"


async def test_very_many_keys_are_several_objects_and_one_sheet(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr(usage_vault, "KEYS_PER_PART", 10)
    server = Server()
    many = Sheet(class_name="c", day=1, usage={"gold": {f"k{n}": n for n in range(100)}})
    await vault(server).save([many])
    assert len(server.applied) > 5
    assert await vault(server).load() == [many]


async def test_what_cannot_be_read_is_passed_over() -> None:
    server = Server()
    await vault(server).save([SHEET])
    server.applied["bad"] = {"metadata": {"name": "bad"}, "binaryData": {"sheet": "%%%"}}
    server.applied["worse"] = {"metadata": {}}
    assert await vault(server).load() == [SHEET]


async def test_days_nobody_may_ask_for_are_deleted_once_a_day() -> None:
    server = Server()
    kept = vault(server)
    await kept.save([SHEET])
    await kept.save([SHEET])
    assert len(server.deleted) == 1
    assert "portico.dev/usage-day notin (" in server.deleted[0]


async def test_summaries_stand_in_status_and_a_plan_that_is_gone_is_passed_over() -> None:
    server = Server()
    summary = Summary(requests=7, today=7, keys=1, starts=20_000, ends=20_001)
    await vault(server).show({"shop/gold": summary})
    ((path, body),) = server.applied.items()
    assert path.endswith("/namespaces/shop/usageplans/gold/status")
    assert body["status"]["usage"]["requests"] == 7
    assert "1 %" in body["status"]["usage"]["accuracy"]


async def test_an_api_server_that_is_away() -> None:
    server = Server()
    server.refuses = ApiError(500, "InternalError", "away")
    for asked in (vault(server).load(), vault(server).save([SHEET])):
        with pytest.raises(Unavailable):
            await asked
