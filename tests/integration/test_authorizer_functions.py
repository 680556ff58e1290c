"""Authorizers that are functions, from manifests to clients: the compiler, two workers, and the
runtime client that AWS itself ships running the function that decides."""

from __future__ import annotations

import json
from collections.abc import AsyncIterator
from typing import Any, Final

import aiohttp
import pytest
import pytest_asyncio

import worlds
from gateway_process import GatewayProcess
from lambda_runtime import LambdaService
from portico_cli.inquiry import Asked, inquire
from portico_ir.codec import encode
from portico_ir.model import Snapshot

HANDLERS: Final = '''
import json

def token(event, context):
    """As AWS's own blueprint has it."""
    said = event["authorizationToken"]
    if said == "unauthorized":
        raise Exception("Unauthorized")
    if said == "fail":
        raise Exception("the secret of the house")
    if said == "nonsense":
        return {"policyDocument": "Allow"}
    prefix, _, _ = event["methodArn"].partition("/")
    effect = "Deny" if said == "deny" else "Allow"
    resource = event["methodArn"] if said == "only-this" else prefix + "/*"
    return {
        "principalId": "user|" + said,
        "policyDocument": {
            "Version": "2012-10-17",
            "Statement": [
                {"Action": "execute-api:Invoke", "Effect": effect, "Resource": resource}
            ],
        },
        "context": {"tenant": "blue", "level": 7, "beta": True},
    }

def simple(event, context):
    tenant = event["identitySource"][0]
    return {"isAuthorized": tenant != "nobody", "context": {"tenant": tenant, "tags": ["a", 1]}}

def echo(event, context):
    return {"statusCode": 200, "headers": {"Content-Type": "application/json"},
            "body": json.dumps(event)}
'''
MANIFESTS: Final = """
apiVersion: portico.dev/v1alpha1
kind: RestApi
metadata: {{name: shop}}
spec:
  functions: {{echo: {{url: "{url}"}}, "token-blue": {{url: "{url}"}}}}
  corsConfiguration: {{allowOrigins: ["https://a.example"], allowHeaders: [authorization]}}
---
apiVersion: portico.dev/v1alpha1
kind: Stage
metadata: {{name: test}}
spec:
  apiRef: {{name: shop}}
  stageName: test
  variables: {{color: blue}}
  accessLogSettings:
    format: >-
      $context.authorizer.principalId $context.authorizer.tenant
      $context.status $context.authorizer.status
---
apiVersion: portico.dev/v1alpha1
kind: Authorizer
metadata: {{name: token}}
spec:
  apiRef: {{name: shop}}
  authorizerType: TOKEN
  identitySource: method.request.header.Authorization
  identityValidationExpression: "[a-z-]+"
  authorizerResultTtl: 1h
  function: token-${{stageVariables.color}}
---
apiVersion: portico.dev/v1alpha1
kind: Route
metadata: {{name: echo}}
spec:
  apiRef: {{name: shop}}
  routeKey: ANY /echo/{{id}}
  authorizationType: CUSTOM
  authorizerRef: {{name: token}}
  integration:
    type: AWS_PROXY
    function: echo
---
apiVersion: portico.dev/v1alpha1
kind: HttpApi
metadata: {{name: web}}
spec: {{functions: {{echo: {{url: "{url}"}}, simple: {{url: "{url}"}}}}}}
---
apiVersion: portico.dev/v1alpha1
kind: Authorizer
metadata: {{name: simple}}
spec:
  apiRef: {{kind: HttpApi, name: web}}
  authorizerType: REQUEST
  identitySource: $request.header.X-Tenant
  enableSimpleResponses: true
  function: simple
---
apiVersion: portico.dev/v1alpha1
kind: Route
metadata: {{name: web}}
spec:
  apiRef: {{kind: HttpApi, name: web}}
  routeKey: $default
  authorizationType: CUSTOM
  authorizerRef: {{name: simple}}
  integration: {{type: AWS_PROXY, function: echo}}
---
apiVersion: portico.dev/v1alpha1
kind: RestApi
metadata: {{name: fenced}}
spec:
  policy:
    Version: "2012-10-17"
    Statement:
    - {{Effect: Allow, Principal: "*", Action: "execute-api:Invoke", Resource: "execute-api:/*"}}
    - Effect: Deny
      Principal: "*"
      Action: "execute-api:Invoke"
      Resource: "execute-api:/*/*/inside*"
      Condition: {{NotIpAddress: {{"aws:SourceIp": ["192.0.2.0/24", "2001:db8::/32"]}}}}
---
apiVersion: portico.dev/v1alpha1
kind: Route
metadata: {{name: fenced}}
spec:
  apiRef: {{name: fenced}}
  routeKey: GET /{{proxy+}}
  integration:
    type: MOCK
    requestTemplates: {{application/json: '{{"statusCode": 200}}'}}
    responses: {{default: {{statusCode: 200}}}}
"""


# One gateway for all of them: what they count, they count from where they begin.
pytestmark = pytest.mark.asyncio(loop_scope="module")


class Scene:
    """A gateway and the functions behind it."""

    def __init__(
        self, gateway: GatewayProcess, functions: LambdaService, snapshot: Snapshot
    ) -> None:
        self.gateway = gateway
        self.functions = functions
        self.snapshot = snapshot

    async def ask(
        self, path: str, host: str = "shop", method: str = "GET", **headers: str
    ) -> tuple[int, Any, dict[str, str]]:
        """Status, body and headers (lower case) of a request on a connection of its own."""
        url = f"http://127.0.0.1:{self.gateway.port}{path}"
        sent = {"Host": f"{host}.default.localhost"}
        sent |= {name.replace("_", "-"): value for name, value in headers.items()}
        async with (
            aiohttp.ClientSession(timeout=aiohttp.ClientTimeout(total=60)) as session,
            session.request(method, url, headers=sent) as response,
        ):
            text = await response.text()
            found = {name.lower(): value for name, value in response.headers.items()}
            return response.status, json.loads(text) if text else None, found

    async def flush(self, name: str = "") -> int:
        """Status of the admin port's answer."""
        url = f"{self.gateway.admin}/authorizers/flush?name={name}"
        async with aiohttp.ClientSession() as session, session.post(url) as response:
            return response.status

    def asked(self, name: str) -> int:
        """How often a function was invoked."""
        return sum(call.function == name for call in self.functions.calls)


@pytest_asyncio.fixture(scope="module", loop_scope="module")
async def scene(tmp_path_factory: pytest.TempPathFactory) -> AsyncIterator[Scene]:
    folder = tmp_path_factory.mktemp("authorizers")
    (folder / "handlers.py").write_text(HANDLERS)
    names = {"token-blue": "handlers.token", "simple": "handlers.simple", "echo": "handlers.echo"}
    async with LambdaService(folder, names) as functions:
        compiled = worlds.compiled(
            MANIFESTS.format(url=functions.url),
            egress_open=True,
            trusted_proxies=("127.0.0.0/8",),
        )
        assert not [str(problem) for problem in compiled.report.problems]
        path = folder / "snapshot.json"
        path.write_bytes(encode(compiled.snapshot))
        gateway = await (await GatewayProcess.start(path, "--workers", "2")).serving()
        yield Scene(gateway, functions, compiled.snapshot)
        await gateway.kill()
        assert not gateway.noise


async def test_explain_asks_the_function(scene: Scene) -> None:
    """`portico explain --ask`: the decision of the function itself, and no backend's call."""
    echoed = scene.asked("echo")
    for token, verdict, says in (
        ("allow", "allowed", "the caller is user|allow; asked "),
        ("deny", "refused", "explicit deny; asked "),
        ("nonsense", "refused", "asked "),
    ):
        asked = Asked(
            "GET",
            "http://shop.default.localhost/test/echo/1",
            (("Authorization", token),),
            ask=True,
        )
        explained = await inquire(scene.snapshot, asked)
        decision = explained.decided.decisions[0]
        assert (decision.step, decision.verdict) == ("authorizer", verdict)
        assert says in decision.says
    assert scene.asked("echo") == echoed


async def test_a_token_authorizer(scene: Scene) -> None:
    """AWS §6.1, as a client sees it."""
    status, event, _ = await scene.ask("/test/echo/1", Authorization="allow")
    assert status == 200
    context = event["requestContext"]["authorizer"]
    assert context.pop("integrationLatency") >= 0
    assert context == {"principalId": "user|allow", "tenant": "blue", "level": "7", "beta": "true"}

    explicit = "User is not authorized to access this resource with an explicit deny"
    for token, expected in {
        "deny": (403, {"Message": explicit}),
        "unauthorized": (401, {"message": "Unauthorized"}),
        "fail": (500, {"message": None}),
        "nonsense": (500, {"message": None}),
        "N0-such-form": (401, {"message": "Unauthorized"}),
    }.items():
        status, body, headers = await scene.ask(
            "/test/echo/1", Authorization=token, Origin="https://a.example"
        )
        assert (status, body) == expected, token
        assert headers["access-control-allow-origin"] == "https://a.example"
    assert (await scene.ask("/test/echo/1"))[:2] == (401, {"message": "Unauthorized"})
    asked = scene.asked("token-blue")

    preflight = {"Origin": "https://a.example", "Access-Control-Request-Method": "GET"}
    assert (await scene.ask("/test/echo/1", method="OPTIONS", **preflight))[0] == 204
    assert scene.asked("token-blue") == asked
    # Clients learnt nothing of it; the log has it.
    await scene.gateway.until(
        lambda: any("the secret of the house" in r["message"] for r in scene.gateway.records)
    )
    await scene.gateway.until(lambda: b"user|allow blue 200 200\n" in scene.gateway.stdout)
    await scene.gateway.until(lambda: b"user|deny blue 403 200\n" in scene.gateway.stdout)


async def test_an_answer_is_kept_until_it_is_flushed(scene: Scene) -> None:
    """Each of the two workers asks at most once, until the admin port says otherwise."""
    before = scene.asked("token-blue")
    for _ in range(12):
        assert (await scene.ask("/test/echo/1", Authorization="only-this"))[0] == 200
    asked = scene.asked("token-blue") - before
    assert 1 <= asked <= 2
    for _ in range(6):
        # The policy that was kept names another ARN.
        await scene.ask("/test/echo/2", Authorization="only-this")
    assert scene.asked("token-blue") - before <= 2
    assert await scene.flush("default/other") == 200
    assert await scene.flush("default/token") == 200
    for _ in range(12):
        await scene.ask("/test/echo/2", Authorization="only-this")
    assert scene.asked("token-blue") - before > asked


async def test_a_simple_authorizer(scene: Scene) -> None:
    """AWS §4.10: types are kept, and nothing else is unless it is asked for."""
    before = scene.asked("simple")
    status, event, _ = await scene.ask("/any/thing", host="web", X_Tenant="blue")
    assert status == 200
    assert event["requestContext"]["authorizer"] == {"lambda": {"tenant": "blue", "tags": ["a", 1]}}
    assert (await scene.ask("/x", host="web", X_Tenant="nobody"))[:2] == (
        403,
        {"message": "Forbidden"},
    )
    assert (await scene.ask("/x", host="web"))[:2] == (401, {"message": "Unauthorized"})
    assert scene.asked("simple") - before == 2
    await scene.ask("/any/thing", host="web", X_Tenant="blue")
    assert scene.asked("simple") - before == 3


async def test_a_resource_policy_looks_through_trusted_proxies(scene: Scene) -> None:
    """AWS §3.21; the address is the last one that no trusted proxy has."""
    inside = "/inside/x"
    for address in ("192.0.2.7", "203.0.113.1, 192.0.2.7", "2001:db8::7", "192.0.2.7, 127.0.0.9"):
        assert (await scene.ask(inside, host="fenced", X_Forwarded_For=address))[0] == 200
    for headers in (
        {},
        {"X_Forwarded_For": "203.0.113.1"},
        {"X_Forwarded_For": "192.0.2.7, 203.0.113.1"},
        {"X_Forwarded_For": "192.0.2.7, nonsense"},
    ):
        status, body, found = await scene.ask(inside, host="fenced", **headers)
        assert status == 403
        assert body["Message"].startswith(
            "User: anonymous is not authorized to perform: execute-api:Invoke on resource: "
            "arn:aws:execute-api:us-east-1:********0000:"
        )
        assert body["Message"].endswith("/$default/GET/inside/x with an explicit deny")
        assert found["x-amzn-errortype"] == "AccessDeniedException"
        # No other spelling of the path goes round it.
        for spelt in ("/%69nside/x", "/inside%2Fx", "//inside/x"):
            assert (await scene.ask(spelt, host="fenced", **headers))[0] == 403
    assert (await scene.ask("/outside", host="fenced"))[0] == 200
