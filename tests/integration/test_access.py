"""Keys and signatures on the running gateway: as clients send them, edited while it serves.

`portico dev` as a process, requests signed by botocore, one backend that says what it got.
"""

from __future__ import annotations

import asyncio
import json
from collections.abc import AsyncIterator
from pathlib import Path
from typing import Any

import aiohttp
import pytest
from aiohttp import web
from botocore.auth import SigV4Auth
from botocore.awsrequest import AWSRequest
from botocore.credentials import Credentials

from dev_process import DevProcess

KEY = "needatleast20characters"
ID, SECRET = "AKIAIOSFODNN7EXAMPLE", "wJalrXUtnFEMI/K7MDENG+bPxRfiCYEXAMPLEKEY"

MANIFESTS = """
apiVersion: portico.dev/v1alpha1
kind: RestApi
metadata: {name: shop}
---
apiVersion: portico.dev/v1alpha1
kind: Route
metadata: {name: keyed}
spec:
  apiRef: {name: shop}
  routeKey: GET /keyed
  apiKeyRequired: true
  integration: {url: "BACKEND/keyed"}
---
apiVersion: portico.dev/v1alpha1
kind: Route
metadata: {name: signed}
spec:
  apiRef: {name: shop}
  routeKey: ANY /signed/{proxy+}
  authorizationType: AWS_IAM
  integration: {url: "BACKEND/signed/{proxy}"}
---
apiVersion: portico.dev/v1alpha1
kind: UsagePlan
metadata: {name: gold}
spec:
  apiStages: [{apiRef: {name: shop}, stage: $default}]
---
apiVersion: portico.dev/v1alpha1
kind: IamUser
metadata: {name: deployer}
spec:
  accessKeys: [{secretRef: {name: deployer}}]
  policy:
    Version: "2012-10-17"
    Statement:
    - Effect: Allow
      Action: execute-api:Invoke
      Resource: "arn:aws:execute-api:*:*:*/$default/*/signed/*"
    - Effect: Deny
      Action: execute-api:Invoke
      Resource: "arn:aws:execute-api:*:*:*/*/DELETE/*"
---
apiVersion: v1
kind: Secret
metadata: {name: deployer}
stringData:
  accessKeyId: AKIAIOSFODNN7EXAMPLE
  secretAccessKey: wJalrXUtnFEMI/K7MDENG+bPxRfiCYEXAMPLEKEY
"""

KEYS = f"""
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
stringData: {{value: {KEY}}}
"""


class Shop:
    """The gateway over a backend that echoes what it got."""

    def __init__(self, folder: Path, gateway: DevProcess, port: int) -> None:
        self.folder = folder
        self.gateway = gateway
        self.url = f"http://localhost:{port}"
        self.client = aiohttp.ClientSession()

    async def ask(self, method: str, path: str, **arguments: Any) -> tuple[int, Any, Any]:
        async with self.client.request(method, self.url + path, **arguments) as answer:
            body = await answer.read()
            return answer.status, json.loads(body or b"null"), answer.headers

    async def signed(
        self, method: str, path: str, body: bytes = b"", keys: Credentials | None = None
    ) -> tuple[int, Any, Any]:
        aws = AWSRequest(method, self.url + path, data=body)
        SigV4Auth(keys or Credentials(ID, SECRET), "execute-api", "us-east-1").add_auth(aws)
        return await self.ask(method, path, data=body, headers=dict(aws.headers))


@pytest.fixture
async def shop(tmp_path: Path) -> AsyncIterator[Shop]:
    async def echo(request: web.Request) -> web.Response:
        body = await request.read()
        seen = {"path": request.path, "headers": dict(request.headers), "body": body.decode()}
        return web.json_response(seen)

    backend = web.Application()
    backend.router.add_route("*", "/{anything:.*}", echo)
    runner = web.AppRunner(backend)
    await runner.setup()
    site = web.TCPSite(runner, "127.0.0.1", 0)
    await site.start()
    port = runner.addresses[0][1]
    (tmp_path / "api.yaml").write_text(MANIFESTS.replace("BACKEND", f"http://127.0.0.1:{port}"))
    (tmp_path / "keys.yaml").write_text(KEYS)
    async with DevProcess(tmp_path) as gateway:
        traffic, _ = await gateway.ports()
        running = Shop(tmp_path, gateway, traffic)
        yield running
        await running.client.close()
    await runner.cleanup()


async def until(shop: Shop, status: int, headers: dict[str, str]) -> None:
    """Edits are served within moments; until then the answers are those of before."""
    async with asyncio.timeout(60):
        while (await shop.ask("GET", "/keyed", headers=headers))[0] != status:
            await asyncio.sleep(0.02)


async def test_keys_open_and_are_switched_off_while_serving(shop: Shop) -> None:
    headers = {"x-api-key": KEY}
    assert (await shop.ask("GET", "/keyed", headers=headers))[0] == 200
    for wrong in ({}, {"x-api-key": "nosuchkey-nosuchkey-nosuchkey"}):
        status, body, answered = await shop.ask("GET", "/keyed", headers=wrong)
        assert (status, body) == (403, {"message": "Forbidden"})
        assert answered["x-amzn-ErrorType"] == "ForbiddenException"
    file = shop.folder / "keys.yaml"
    file.write_text(KEYS.replace("spec:\n", "spec:\n  enabled: false\n"))
    await until(shop, 403, headers)
    file.write_text(KEYS.replace(KEY, KEY.upper()))
    await until(shop, 200, {"x-api-key": KEY.upper()})
    assert (await shop.ask("GET", "/keyed", headers=headers))[0] == 403


async def test_signatures_of_botocore(shop: Shop) -> None:
    status, seen, _ = await shop.signed("GET", "/signed/a%20b?x=1&a=%2F")
    assert status == 200, seen
    names = {name.lower() for name in seen["headers"]}
    assert "authorization" not in names
    assert "x-amz-date" in names
    status, seen, _ = await shop.signed("POST", "/signed/x", b"x" * 200_000)
    assert (status, len(seen["body"])) == (200, 200_000)


async def test_refusals_in_the_words_of_aws(shop: Shop) -> None:
    status, body, headers = await shop.ask("GET", "/signed/a")
    assert (status, body) == (403, {"message": "Missing Authentication Token"})
    status, body, headers = await shop.signed("GET", "/signed/a", keys=Credentials(ID, "other"))
    assert status == 403
    assert headers["x-amzn-ErrorType"] == "InvalidSignatureException"
    assert body["message"].startswith("The request signature we calculated does not match")
    status, body, headers = await shop.signed("DELETE", "/signed/a")
    assert status == 403
    assert headers["x-amzn-ErrorType"] == "AccessDeniedException"
    assert body["Message"].startswith("User: arn:aws:iam::000000000000:user/default/deployer is ")
    assert body["Message"].endswith("with an explicit deny")
    status, _, headers = await shop.ask("GET", "/signed/a", headers={"Authorization": "Bearer x"})
    assert (status, headers["x-amzn-ErrorType"]) == (403, "IncompleteSignatureException")
    assert not any("Traceback" in line for line in shop.gateway.lines)


async def test_a_body_that_was_changed_on_the_way(shop: Shop) -> None:
    path = "/signed/x"
    aws = AWSRequest("POST", shop.url + path, data=b"one")
    SigV4Auth(Credentials(ID, SECRET), "execute-api", "us-east-1").add_auth(aws)
    status, _, _ = await shop.ask("POST", path, data=b"two", headers=dict(aws.headers))
    assert status == 403


async def test_a_body_that_waits_for_100(shop: Shop) -> None:
    path = "/signed/x"
    aws = AWSRequest("POST", shop.url + path, data=b"one")
    SigV4Auth(Credentials(ID, SECRET), "execute-api", "us-east-1").add_auth(aws)
    status, seen, _ = await shop.ask(
        "POST", path, data=b"one", headers=dict(aws.headers), expect100=True
    )
    assert (status, seen["body"]) == (200, "one")
