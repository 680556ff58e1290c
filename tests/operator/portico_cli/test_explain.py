"""What `portico explain` prints: API, stage, route, chain, upstream, and why not elsewhere."""

from __future__ import annotations

import json
import time
from pathlib import Path
from typing import Any

import pytest
import yaml

from manifests import manifest
from oidc_issuer import OidcIssuer, signed
from pki import Authority
from portico_cli import explain
from portico_cli.inquiry import Asked

PETSTORE = Path(__file__).parents[3] / "examples" / "petstore"
HEAD = "apiVersion: portico.dev/v1alpha1\nkind: "
API = HEAD + "RestApi\nmetadata: {name: shop}\n"


def route(name: str, key: str, rest: str) -> str:
    head = f"{HEAD}Route\nmetadata: {{name: {name}}}\nspec:\n  apiRef: {{name: shop}}\n"
    return f"{head}  routeKey: {key}\n{rest}"


def run(
    paths: list[Path],
    method: str,
    url: str,
    *headers: tuple[str, str],
    as_json: bool = False,
    ask: bool = False,
) -> int:
    asked = Asked(method, url, headers, ask=ask)
    return explain.run(asked, [str(p) for p in paths], None, "localhost", as_json=as_json)


@pytest.fixture
def document(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> Any:
    def explained(
        text: str,
        method: str,
        url: str,
        *headers: tuple[str, str],
        code: int = 0,
        ask: bool = False,
    ) -> dict[str, Any]:
        (tmp_path / "a.yaml").write_text(text)
        assert run([tmp_path], method, url, *headers, as_json=True, ask=ask) == code
        found: dict[str, Any] = json.loads(capsys.readouterr().out)
        return found

    return explained


def test_the_petstore(capsys: pytest.CaptureFixture[str]) -> None:
    assert run([PETSTORE], "GET", "/pets/1") == 0
    lines = capsys.readouterr().out.splitlines()
    facts = dict(line.split(None, 1) for line in lines if line[:1].strip())
    assert facts["request"] == "GET localhost/pets/1"
    assert facts["api"].startswith("default/petstore (rest, ")
    assert facts["stage"] == "$default, which routes /pets/1"
    assert facts["route"] == "default/get-pet  GET /pets/{petId}"
    assert facts["chain"] == "integration HTTP_PROXY"
    assert facts["upstream"] == "default/pets:80 at 127.0.0.1:9001"
    assert facts["call"] == "GET http://127.0.0.1:9001/v1/pets/1"
    assert "petId = 1" in [line.strip() for line in lines]
    assert "Host: pets.default.svc.cluster.local" in [line.strip() for line in lines]
    others = {line.split()[0]: line for line in lines if line.startswith("default/")}
    assert set(others) == {
        f"default/{n}" for n in ("change-pet", "list-pets", "create-pet", "chat", "files")
    }
    assert others["default/change-pet"].endswith("less specific than GET /pets/{petId}")
    assert "'chat'" in others["default/chat"]


def test_the_same_as_json(capsys: pytest.CaptureFixture[str]) -> None:
    assert (
        run([PETSTORE], "PUT", "http://petstore.default.localhost/files/a%20b?x=1", as_json=True)
        == 0
    )
    document = json.loads(capsys.readouterr().out)
    assert document["api"]["foundBy"] == "its host petstore.default.localhost"
    assert document["route"] == {
        "name": "default/files",
        "key": "ANY /files/{name}",
        "variables": {"name": "a%20b"},
    }
    assert document["integration"] == {
        "type": "HTTP_PROXY",
        "timeoutMs": 29000,
        "maxRequestBody": 1024**3,
    }
    assert document["call"]["method"] == "PUT"
    assert document["call"]["url"] == "http://127.0.0.1:9002/files/a%20b?x=1"
    assert document["answer"] is None


def test_headers_take_part(document: Any) -> None:
    rest = (
        "  requestParameters: {method.request.header.X-Who: false}\n"
        "  integration:\n    url: http://h/x\n    requestParameters:\n"
        "      integration.request.header.X-Asked-By: method.request.header.X-Who\n"
    )
    found = document(API + "---\n" + route("r", "GET /a", rest), "GET", "/a", ("X-Who", "me"))
    assert ["X-Asked-By", "me"] in found["call"]["headers"]
    assert found["call"]["url"] == "http://h:80/x"


def test_no_route(document: Any) -> None:
    text = API + "---\n" + route("r", "GET /a", "  integration: {url: 'http://h'}\n")
    found = document(text, "POST", "/a", code=1)
    assert found["outcome"] == "no route takes it"
    assert found["answer"] == {
        "error": "MISSING_AUTHENTICATION_TOKEN",
        "status": 403,
        "body": '{"message":"Missing Authentication Token"}',
    }
    assert found["others"] == [{"route": "default/r", "key": "GET /a", "why": "method GET ≠ POST"}]


def test_an_unknown_host(document: Any) -> None:
    text = API + "---\n" + API.replace("name: shop", "name: two")
    found = document(text, "GET", "http://nowhere/a", code=1)
    assert found["answer"]["error"] == "UNKNOWN_HOST"
    assert found["hosts"] == ["shop.default.localhost", "two.default.localhost"]


def test_a_route_that_fails_closed_says_why(document: Any) -> None:
    rest = "  requestValidator: {validateRequestBody: true}\n  integration: {url: 'http://h'}\n"
    found = document(API + "---\n" + route("r", "GET /a", rest), "GET", "/a", code=1)
    assert found["answer"]["status"] == 500
    assert "validateRequestBody" in found["outcome"]
    assert any("validateRequestBody" in step for step in found["chain"])
    assert "call" not in found


POOL = """
---
apiVersion: portico.dev/v1alpha1
kind: Authorizer
metadata: {name: people}
spec:
  apiRef: {name: shop}
  authorizerType: COGNITO_USER_POOLS
  jwtConfiguration: {issuer: "https://login.example"}
---
"""
GUARDED = (
    "  authorizationType: COGNITO_USER_POOLS\n  authorizerRef: {name: people}\n"
    "  apiKeyRequired: true\n  integration: {url: 'http://h'}\n"
)


def test_each_decision_of_the_chain(document: Any) -> None:
    text = API + POOL + route("r", "GET /a", GUARDED)
    found = document(text, "GET", "/a", code=1)
    assert found["decisions"] == [
        {"step": "token", "verdict": "refused", "says": "default/people: no token was sent"}
    ]
    assert (found["answer"]["status"], found["answer"]["error"]) == (401, "UNAUTHORIZED")
    assert "call" not in found
    now = int(time.time())
    for claims, message in (
        ({"iss": "https://login.example", "exp": now - 5}, "The incoming token has expired"),
        ({"iss": "https://other.example", "exp": now + 900}, "Unauthorized"),
    ):
        header = ("Authorization", f"Bearer {signed(claims)}")
        found = document(text, "GET", "/a", header, code=1)
        assert json.loads(found["answer"]["body"]) == {"message": message}


def test_what_depends_on_others_is_open(document: Any, capsys: Any, tmp_path: Path) -> None:
    text = API + POOL + route("r", "GET /a", GUARDED)
    token = signed({"iss": "https://login.example", "exp": int(time.time()) + 900})
    header = ("Authorization", f"Bearer {token}")
    found = document(text, "GET", "/a", header)
    (decision,) = found["decisions"]
    assert decision["verdict"] == "open"
    assert "https://login.example" in decision["says"]
    assert "--ask" in found["outcome"]
    assert run([tmp_path], "GET", "/a", header) == 0
    assert "decision     token: open (asks https://login.example" in capsys.readouterr().out


def test_issuers_are_asked_where_the_user_says_so(document: Any) -> None:
    with OidcIssuer() as issuer:
        pool = POOL.replace("https://login.example", issuer.url)
        open_to_tokens = GUARDED.replace("  apiKeyRequired: true\n", "")
        text = API + pool + route("r", "GET /a", open_to_tokens)
        header = ("Authorization", f"Bearer {issuer.token(sub='u1')}")
        found = document(text, "GET", "/a", header, ask=True)
        (decision,) = found["decisions"]
        assert decision["verdict"] == "allowed"
        assert decision["says"].startswith(f"the caller is u1; asked {issuer.url} for its key ")
        assert found["call"]["url"] == "http://h:80/"
        forged = signed(
            {"iss": issuer.url, "exp": int(time.time()) + 900}, "k2", header={"kid": "k1"}
        )
        found = document(text, "GET", "/a", ("Authorization", f"Bearer {forged}"), ask=True, code=1)
        (decision,) = found["decisions"]
        assert decision["verdict"] == "refused"
        assert "signature" in decision["says"]
        assert found["answer"]["status"] == 401
        issuer.fail()
        found = document(text, "GET", "/a", header, ask=True, code=1)
        assert found["answer"]["status"] == 500


def test_a_function_and_a_mock(document: Any) -> None:
    api = API + "spec: {functions: {greet: {url: 'http://127.0.0.1:9000'}}}\n"
    function = route("f", "GET /f", "  integration: {type: AWS_PROXY, function: greet}\n")
    mock = route(
        "m",
        "GET /m",
        "  integration:\n    type: MOCK\n"
        "    requestTemplates: {application/json: '{\"statusCode\": 200}'}\n"
        "    responses: {default: {statusCode: 204}}\n",
    )
    text = "---\n".join([api, function, mock])
    found = document(text, "GET", "/f")
    assert found["call"] == {
        "method": "POST",
        "url": "http://127.0.0.1:9000/2015-03-31/functions/greet/invocations",
    }
    assert found["integration"]["function"] == "greet"
    assert document(text, "GET", "/m")["call"] == {"mock": 204}


def test_cors_comes_before_everything(document: Any) -> None:
    api = API + "spec: {corsConfiguration: {allowOrigins: ['https://a'], allowMethods: [GET]}}\n"
    text = api + "---\n" + route("r", "GET /a", "  integration: {url: 'http://h'}\n")
    preflight = (("Origin", "https://a"), ("Access-Control-Request-Method", "GET"))
    found = document(text, "OPTIONS", "/a", *preflight, code=1)
    assert "preflight" in found["outcome"]
    assert document(text, "GET", "/a")["chain"] == ["cors", "integration HTTP_PROXY"]


def test_a_head_that_is_refused(document: Any) -> None:
    found = document(API, "GET", "http://h/a/%zz", code=1)
    assert found["answer"]["status"] == 400


def test_what_cannot_be_read_is_not_explained(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    (tmp_path / "a.yaml").write_text(API + "---\nkind: [\n")
    assert run([tmp_path], "GET", "/a") == 1
    captured = capsys.readouterr()
    assert captured.out == ""
    assert "MalformedDocument" in captured.err
    (tmp_path / "a.yaml").write_text("")
    assert run([tmp_path], "GET", "/a") == 1
    assert "no API" in capsys.readouterr().err


def test_many_routes_are_counted(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    routes = [route(f"r{n}", f"GET /r{n}", "  integration: {url: 'http://h'}\n") for n in range(50)]
    (tmp_path / "a.yaml").write_text("---\n".join([API, *routes]))
    assert run([tmp_path], "GET", "/r7") == 0
    assert capsys.readouterr().out.splitlines()[-1] == "… and 29 more routes"


# --- domains --------------------------------------------------------------------------------


def mock_route(name: str, key: str) -> dict[str, Any]:
    templates = {"application/json": '{"statusCode": 200}'}
    responses = {"default": {"statusCode": 200}}
    integration = {"type": "MOCK", "requestTemplates": templates, "responses": responses}
    spec = {"apiRef": {"name": "shop"}, "routeKey": key, "integration": integration}
    return manifest("Route", name, spec)


PAIR = Authority().server("shop.test")
DOMAINS: list[dict[str, Any]] = [
    manifest("RestApi", "shop", {"disableExecuteApiEndpoint": True}),
    manifest("RestApi", "other"),
    mock_route("list", "GET /pets"),
    {
        "apiVersion": "v1",
        "kind": "Secret",
        "metadata": {"name": "tls"},
        "stringData": {"tls.crt": PAIR.chain, "tls.key": PAIR.key, "ca.crt": Authority().pem},
    },
    manifest("DomainName", "plain", {"domainNames": ["plain.test"]}),
    manifest(
        "DomainName",
        "secure",
        {
            "domainNames": ["shop.test"],
            "certificateRef": {"name": "tls"},
            "mutualTlsAuthentication": {"truststoreRef": {"name": "tls"}},
        },
    ),
    manifest(
        "DomainName",
        "sent",
        {
            "domainNames": ["sent.test"],
            "certificateRef": {"name": "tls"},
            "extensions": {"redirectHttp": True},
        },
    ),
    *(
        manifest(
            "ApiMapping",
            name,
            {"domainRef": {"name": name}, "apiRef": {"name": "shop"}, "apiMappingKey": "v1"},
        )
        for name in ("plain", "secure", "sent")
    ),
]


def test_a_domain_says_what_it_matched(document: Any) -> None:
    text = yaml.safe_dump_all(DOMAINS)
    found = document(text, "GET", "http://plain.test/v1/pets")
    assert found["domain"]["name"] == "default/plain"
    assert (found["domain"]["basePath"], found["stage"]["path"]) == ("v1", "/pets")
    assert found["api"]["foundBy"] == "its domain plain.test"
    lost = document(text, "GET", "http://plain.test/v2/pets", code=1)
    assert lost["outcome"] == "no mapping of default/plain takes the path"
    assert lost["answer"]["status"] == 403
    default = document(text, "GET", "http://shop.default.localhost/pets", code=1)
    assert default["answer"]["error"] == "DEFAULT_ENDPOINT_DISABLED"


def test_the_scheme_of_a_url_is_that_of_the_connection(document: Any) -> None:
    text = yaml.safe_dump_all(DOMAINS)
    for url in ("https://shop.test/v1/pets", "shop.test/v1/pets"):
        assert document(text, "GET", url)["domain"]["clientCertificate"] is True
    refused = document(text, "GET", "http://shop.test/v1/pets", code=1)
    assert refused["outcome"] == "default/secure is reached by https only"
    sent = document(text, "GET", "http://sent.test/v1/pets?a=b", code=1)
    assert sent["outcome"] == "the client is sent to https://sent.test/v1/pets?a=b"
    assert sent["answer"] is None


def test_a_domain_reads_well(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    (tmp_path / "a.yaml").write_text(yaml.safe_dump_all(DOMAINS))
    assert run([tmp_path], "GET", "https://shop.test/v1/pets") == 0
    lines = capsys.readouterr().out.splitlines()
    wanted = "default/secure, mapping /v1; asks for a client certificate, taken as given"
    assert any(line.split(None, 1) == ["domain", wanted] for line in lines)
