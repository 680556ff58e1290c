"""Usage of plans from a real `portico dev`, asked with a real `portico usage`."""

from __future__ import annotations

import asyncio
import json
import time
from pathlib import Path
from typing import Any

import aiohttp
import pytest

from dev_process import DevProcess
from portico_cli.main import main
from portico_compiler.passes.extensions import key_id
from portico_compiler.problems import ObjectRef

ACME = key_id(ObjectRef("ApiKey", "default", "acme"), None)
VALUE = "x" * 24
FILE = """
apiVersion: portico.dev/v1alpha1
kind: RestApi
metadata: {{name: shop}}
---
apiVersion: portico.dev/v1alpha1
kind: Route
metadata: {{name: pets}}
spec:
  apiRef: {{name: shop}}
  routeKey: GET /pets
  apiKeyRequired: true
  integration:
    type: MOCK
    requestTemplates: {{application/json: '{{"statusCode": 200}}'}}
    responses: {{default: {{statusCode: 200}}}}
---
apiVersion: portico.dev/v1alpha1
kind: UsagePlan
metadata:
  name: gold
  annotations:
    portico.dev/quota-extensions: "{extension}"
spec:
  apiStages: [{{apiRef: {{name: shop}}, stage: $default}}]
  quota: {{limit: 3, period: DAY}}
---
apiVersion: portico.dev/v1alpha1
kind: ApiKey
metadata: {{name: acme}}
spec:
  secretRef: {{name: acme, key: value}}
  usagePlanRefs: [{{name: gold}}]
---
apiVersion: v1
kind: Secret
metadata: {{name: acme}}
stringData: {{value: {value}}}
"""


def write(path: Path, extension: str = "") -> None:
    path.write_text(FILE.format(extension=extension, value=VALUE))


async def calls(port: int, number: int) -> list[int]:
    async with aiohttp.ClientSession(headers={"x-api-key": VALUE}) as client:
        found = []
        for _ in range(number):
            async with client.get(f"http://127.0.0.1:{port}/pets") as answer:
                found.append(answer.status)
        return found


class Usage:
    """The command, against one dev."""

    def __init__(self, admin: int, capsys: pytest.CaptureFixture[str]) -> None:
        self.admin, self._capsys = admin, capsys

    async def told(self, *arguments: str) -> Any:
        said = ["usage", "gold", "--admin-port", str(self.admin), "-o", "json", *arguments]
        assert await asyncio.to_thread(main, said) == 0
        return json.loads(self._capsys.readouterr().out)

    async def until(self, used: int, remaining: int) -> None:
        """What is counted comes with the next exchange of leases."""
        async with asyncio.timeout(30):
            while True:
                report = await self.told("--key", "acme")
                if report["items"][ACME][-1] == [used, remaining]:
                    return
                await asyncio.sleep(0.05)


@pytest.mark.parametrize("workers", ["1", "2"])
async def test_from_counted_to_extended(
    tmp_path: Path, workers: str, capsys: pytest.CaptureFixture[str]
) -> None:
    file = tmp_path / "shop.yaml"
    write(file)
    async with DevProcess(file, options=("--workers", workers)) as dev:
        port, admin = await dev.ports()
        usage = Usage(admin, capsys)
        assert await calls(port, 5) == [200, 200, 200, 429, 429]
        await usage.until(3, 0)
        # By hand.
        report = await usage.told("--key", "acme", "--remaining", "2")
        assert report["items"][ACME] == [[3, 2]]
        async with asyncio.timeout(30):
            while (await calls(port, 1)) != [200]:
                await asyncio.sleep(0.05)
        # And by the manifest, beside it.
        write(file, f"acme {time.strftime('%Y-%m-%d', time.gmtime())} +4")
        await dev.line(lambda line: line.startswith("reloaded"))
        await usage.until(4, 5)
        accepted = 0
        async with asyncio.timeout(30):
            while accepted < 5:
                accepted += (await calls(port, 1)).count(200)
        assert await calls(port, 5) == [429] * 5
        await usage.until(9, 0)


async def test_strangers_and_pages_learn_nothing(tmp_path: Path) -> None:
    write(tmp_path / "shop.yaml")
    async with DevProcess(tmp_path) as dev, aiohttp.ClientSession() as client:
        _, admin = await dev.ports()
        url = f"http://127.0.0.1:{admin}/usageplans/anything/usage"
        async with client.get(url) as answer:
            assert (answer.status, await answer.json()) == (
                404,
                {"message": "Invalid Usage Plan ID specified"},
            )
        for headers in ({"Origin": "http://evil.example"}, {"Host": "evil.example"}):
            async with client.get(url, headers=headers) as answer:
                assert (answer.status, await answer.text()) == (404, "404: Not Found")


async def test_what_cannot_be_told(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    write(tmp_path / "shop.yaml")
    async with DevProcess(tmp_path) as dev:
        port, admin = await dev.ports()
        for arguments, said in (
            (["silver"], "UsagePlan default/silver is unknown"),
            (["gold", "--key", "nobody"], "ApiKey default/nobody is not in UsagePlan default/gold"),
            (["gold", "--key", "nobody", "--remaining", "1"], "ApiKey default/nobody is not in"),
            (["gold", "--from", "2020-01-01", "--to", "2020-12-31"], "more than 90 days"),
        ):
            command = ["usage", *arguments, "--admin-port", str(admin)]
            assert await asyncio.to_thread(main, command) == 1
            error = capsys.readouterr().err
            assert said in error
            assert error.count("\n") == 1
        assert await asyncio.to_thread(main, ["usage", "gold", "--admin-port", str(port)]) == 1
        assert "not the usage of plans" in capsys.readouterr().err
    assert await asyncio.to_thread(main, ["usage", "gold", "--admin-port", str(admin)]) == 1
    assert f"no `portico dev` answers at port {admin}" in capsys.readouterr().err
