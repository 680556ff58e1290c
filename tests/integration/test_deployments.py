"""Deployments on a running gateway: pinned while the routes change, moved and rolled back in use.

`portico deploy` writes them, `portico dev` serves them; the operator's part is tests/cluster's.
"""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator
from pathlib import Path
from typing import Any

import aiohttp
import pytest
import yaml

from deployments import shop, stage
from dev_process import PATIENCE_S, DevProcess
from manifests import route
from portico_cli.main import main

CLIENTS = 4


def answering(text: str) -> dict[str, Any]:
    return {
        "integration": {
            "type": "MOCK",
            "requestTemplates": {"application/json": '{"statusCode": 200}'},
            "responses": {
                "default": {"statusCode": 200, "responseTemplates": {"text/plain": text}}
            },
        }
    }


def write(folder: Path, text: str, *more: dict[str, Any]) -> str:
    """The API with one Route that answers this text; as a text to write later."""
    documents = [*shop(route("who", "GET /who", **answering(text))), *more]
    return yaml.dump_all(documents)


@pytest.fixture
async def session() -> AsyncIterator[aiohttp.ClientSession]:
    timeout = aiohttp.ClientTimeout(total=PATIENCE_S)
    async with aiohttp.ClientSession(timeout=timeout) as made:
        yield made


async def ask(session: aiohttp.ClientSession, url: str) -> tuple[int, str]:
    async with session.get(url) as response:
        return response.status, await response.text()


async def test_a_deployment_stays_as_it_is_and_moves_cost_nothing(
    tmp_path: Path, session: aiohttp.ClientSession
) -> None:
    file, stages = tmp_path / "shop.yaml", tmp_path / "stages.yaml"
    for name in ("one", "two"):
        file.write_text(write(tmp_path, name))
        assert main(["deploy", name, "-f", str(file), "-o", str(tmp_path / f"{name}.yaml")]) == 0

    def pinned(name: str) -> str:
        return yaml.dump_all([stage("prod", name), stage("test")])

    stages.write_text(pinned("one"))
    async with DevProcess(tmp_path, options=("--workers", "2")) as dev:
        url = await dev.url()
        assert await ask(session, f"{url}/prod/who") == (200, "one")
        assert await ask(session, f"{url}/test/who") == (200, "two")
        await dev.edited(file, write(tmp_path, "three"))
        assert await ask(session, f"{url}/test/who") == (200, "three")
        assert await ask(session, f"{url}/prod/who") == (200, "one")
        seen: list[tuple[int, str]] = []
        ended = asyncio.Event()

        async def load() -> None:
            while not ended.is_set():
                seen.append(await ask(session, f"{url}/prod/who"))

        clients = asyncio.gather(*(load() for _ in range(CLIENTS)))
        for name in ("two", "one", "two", "one"):
            await dev.edited(stages, pinned(name))
            assert await ask(session, f"{url}/prod/who") == (200, name)
            # And edits of what is not deployed change nothing for it.
            await dev.edited(file, write(tmp_path, f"four-{name}"))
            assert await ask(session, f"{url}/prod/who") == (200, name)
        ended.set()
        await clients
        assert set(seen) == {(200, "one"), (200, "two")}


async def test_what_is_missing_answers_500_until_it_is_there(
    tmp_path: Path, session: aiohttp.ClientSession
) -> None:
    file, lost = tmp_path / "shop.yaml", tmp_path / "one.yaml"
    file.write_text(write(tmp_path, "one", stage("prod", "one"), stage("test")))
    async with DevProcess(tmp_path) as dev:
        url = await dev.url()
        for path in ("/prod/who", "/prod", "/prod/any/thing"):
            status, text = await ask(session, f"{url}{path}")
            assert (status, text) == (500, '{"message": "Internal server error"}')
        assert await ask(session, f"{url}/test/who") == (200, "one")
        assert any("there is no ApiDeployment default/one" in line for line in dev.lines)
        written = tmp_path.parent / "one.yaml"
        assert main(["deploy", "one", "-f", str(file), "-o", str(written)]) == 0
        await dev.edited(lost, written.read_text())
        assert await ask(session, f"{url}/prod/who") == (200, "one")
        # A part that is damaged says so, and closes what it holds and nothing else.
        await dev.edited(lost, written.read_text().replace("digest: ", "digest: 0", 1))
        assert (await ask(session, f"{url}/prod/who"))[0] == 500
        assert await ask(session, f"{url}/test/who") == (200, "one")
