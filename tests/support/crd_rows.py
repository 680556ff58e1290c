"""Specs that break a rule, one row a fault: what both the compiler and the API server refuse.

Used by tests/cluster/test_rules.py, which asks a real API server, and by the unit test that sees
that no rule lacks a row. `twin` is a function of `portico_compiler.rules`; where CEL cannot see
the field, the API server refuses in words of its own.
"""

from __future__ import annotations

from typing import Any, NamedTuple

REST = {"name": "shop"}
HTTP = {"name": "shop", "kind": "HttpApi"}
SOCKET = {"name": "shop", "kind": "WebSocketApi"}
SERVICE = {"name": "backend", "port": 80}
URL = {"url": "http://backend.example/"}
INLINE = {"name": "f", "url": "http://functions.example/"}


class Row(NamedTuple):
    """A spec that breaks just one rule."""

    kind: str
    """Whose spec."""
    twin: str
    """Rule that it breaks."""
    spec: dict[str, Any]
    """The spec."""
    hidden: bool = False
    """CEL sees nothing of the fault; the schema refuses without the compiler's words."""
    words: bool = True
    """CEL says what the compiler says."""


def route(twin: str, hidden: bool = False, **spec: Any) -> Row:
    """A Route that is fine but for what is given; None leaves a field out."""
    whole = {"apiRef": REST, "routeKey": "GET /a", "integration": URL} | spec
    given = {name: value for name, value in whole.items() if value is not None}
    return Row("Route", twin, given, hidden, words=not hidden)


def key(text: str, api: dict[str, str] = REST) -> Row:
    return route("route_key_has_the_grammar_of_its_api", apiRef=api, routeKey=text)


def target(hidden: bool = False, **integration: Any) -> Row:
    return route("integration_has_one_target", hidden, integration=integration)


def authorizer(twin: str, hidden: bool = False, **spec: Any) -> Row:
    return Row("Authorizer", twin, {"apiRef": REST} | spec, hidden, words=not hidden)


def template(text: str) -> Row:
    spec = {"addressTemplate": text}
    return Row("PorticoClass", "address_template_has_what_it_needs", spec)


KEYS = (
    key("$default"),
    key("GET"),
    key("pets"),
    key("GET pets"),
    key("GET  /pets"),
    key("FETCH /pets"),
    key("get /pets"),
    key("GET /pets//a"),
    key("GET /a//", HTTP),
    key("GET //"),
    key("GET /pets/x{id}"),
    key("GET /pets/{id}x", HTTP),
    key("GET /pets/{}"),
    key("GET /pets/{id"),
    key("GET /pets/id}"),
    key("GET /pets/{i d}"),
    key("GET /pets/{a}{b}"),
    key("GET /{proxy+}/a"),
    key("GET /{proxy+}/", HTTP),
    key("GET /{id}/a/{id}"),
    key("GET /{id}/a/{id+}", HTTP),
    key("GET /a/../b"),
    key("GET /a/.", HTTP),
    key("GET /a b"),
    key("GET /a%20b"),
    key("GET /ä", HTTP),
    key("GET /a%2", HTTP),
    key("GET /a%2/b", HTTP),
    key("GET /a%zz/b", HTTP),
)
_DECIDES = "authorizer_says_how_it_decides"
_TYPE = "authorizer_type_exists_on_its_api"
_KIND = "authorization_type_exists_on_its_api"
_PARAMETERS = "request_parameters_are_named_as_aws_names_them"
_TIMEOUT = "integration_timeout_is_sensible"
_BODY = "integration_body_limit_is_sensible"
_CORS = "cors_credentials_need_named_origins"
_DOMAIN = {"domainNames": ["shop.example"]}
_ACTION = {"invokeApi": {"apiRef": REST, "stage": "prod"}}
_OPEN = {"allowOrigins": ["https://a.example", "*"], "allowCredentials": True}
_STAGE = {"apiRef": REST, "stageName": "prod"}
_MAPPING = {"domainRef": {"name": "shop"}, "apiRef": REST}
_HEADERS = {"matchHeaders": {"anyOf": [{"header": "x-version", "valueGlob": "v2*"}]}}


def _base_path(text: str) -> dict[str, Any]:
    return {"matchBasePaths": {"anyOf": [text]}}


_PATHS = _base_path("orders")
_EMPTY: dict[str, Any] = {}


def _rule(conditions: list[dict[str, Any]], kind: str = "RestApi") -> dict[str, Any]:
    action = {"invokeApi": {"apiRef": {"name": "a", "kind": kind}, "stage": "prod"}}
    rule = {"priority": 5, "conditions": conditions, "actions": [action]}
    return _DOMAIN | {"routingRules": [rule]}


ROWS: tuple[Row, ...] = (
    *KEYS,
    # The compiler shows a newline as an escape.
    key("GET /a\nb")._replace(words=False),
    route("route_calls_something", integration=None),
    route("route_calls_something", apiRef=SOCKET, routeKey="send", integration=None),
    target(type="MOCK", service=SERVICE),
    target(type="MOCK", url="http://a/", backends=[{"service": SERVICE}]),
    target(True, type="MOCK", function="f"),
    target(),
    target(backends=[]),
    target(service=SERVICE, url="http://a/"),
    target(type="HTTP", service=SERVICE, backends=[{"service": SERVICE}]),
    target(True, function="f"),
    target(True, url="http://a/", function="f"),
    target(True, type="AWS_PROXY"),
    target(True, type="AWS_PROXY", url="http://a/"),
    target(type="AWS_PROXY", function="f", service=SERVICE)._replace(words=False),
    target(True, type="AWS"),
    target(type="AWS", service=SERVICE, url="http://a/"),
    target(True, type="AWS", service=SERVICE, function="f"),
    target(True, type="AWS", backends=[{"service": SERVICE}]),
    route("integration_type_exists_on_its_api", apiRef=HTTP, integration={"type": "MOCK"}),
    route("integration_type_exists_on_its_api", apiRef=HTTP, integration=URL | {"type": "HTTP"}),
    route(_TIMEOUT, integration=URL | {"timeout": "0s"}),
    route(_TIMEOUT, integration=URL | {"timeout": "24h1ms"}),
    route(_BODY, integration=URL | {"maxRequestBody": "9000000Ti"}),
    route(_BODY, integration=URL | {"maxRequestBody": 2**53 + 1}),
    route(
        "integration_function_says_where",
        True,
        integration={"type": "AWS_PROXY", "function": {"name": "f"}},
    ),
    route(
        "integration_function_says_where",
        True,
        integration={"type": "AWS_PROXY", "function": INLINE | {"service": SERVICE}},
    ),
    route("authorizer_is_named_where_one_is_needed", authorizationType="CUSTOM"),
    route(_KIND, authorizationType="JWT", authorizerRef={"name": "a"}),
    route("authorizer_is_asked_when_it_is_named", authorizerRef={"name": "a"}),
    route(
        "authorizer_is_asked_when_it_is_named",
        authorizationType="AWS_IAM",
        authorizerRef={"name": "a"},
    ),
    route("scopes_are_those_of_a_token", authorizationScopes=["read"]),
    route(
        "scopes_are_those_of_a_token",
        authorizationType="CUSTOM",
        authorizerRef={"name": "a"},
        authorizationScopes=["read"],
    ),
    route(_KIND, apiRef=HTTP, authorizationType="COGNITO_USER_POOLS", authorizerRef=REST),
    route(_KIND, apiRef=SOCKET, authorizationType="JWT", authorizerRef={"name": "a"}),
    route(_PARAMETERS, requestParameters={"querystring.page": True}),
    route(_PARAMETERS, requestParameters={"method.request.header.": True}),
    route(
        _PARAMETERS,
        requestParameters={"method.request.header.a": True, "method.request.path.a": True},
    ),
    Row("RestApi", "functions_say_where", {"functions": {"f": {}}}),
    Row("HttpApi", "functions_say_where", {"functions": {"f": URL | {"service": SERVICE}}}),
    Row("WebSocketApi", "functions_say_where", {"functions": {"f": {}, "g": URL}}),
    Row("RestApi", _CORS, {"corsConfiguration": _OPEN}),
    Row("HttpApi", _CORS, {"corsConfiguration": _OPEN}),
    Row("HttpApi", "cors_age_is_within_a_day", {"corsConfiguration": {"maxAge": "24h1s"}}),
    Row("RestApi", "cors_age_is_within_a_day", {"corsConfiguration": {"maxAge": "100h"}}),
    template("{api}.{baseDomain}"),
    template("{namespace}.{baseDomain}"),
    template("{api}.{namespace}.{domain}"),
    template("{api}.{namespace}.example."),
    template("{api} {namespace}"),
    Row("PorticoClass", "ranges_are_ranges", {"trustedProxies": ["10.0.0.0/8", "10.0.0.0/33"]}),
    Row("PorticoClass", "ranges_are_ranges", {"trustedProxies": ["300.1.1.1"]}),
    Row(
        "Stage",
        "method_settings_name_methods",
        _STAGE | {"methodSettings": {"pets/GET": {}, "*": {}}},
    ),
    Row("Stage", "method_settings_name_methods", _STAGE | {"methodSettings": {"/pets/GET": {}}}),
    Row("Stage", "access_log_has_a_format", _STAGE | {"accessLogSettings": {"format": " "}}),
    Row("Stage", "access_log_has_a_format", _STAGE | {"accessLogSettings": {"format": "é" * 1537}}),
    authorizer(_DECIDES, apiRef=HTTP, authorizerType="JWT"),
    authorizer(_DECIDES, authorizerType="COGNITO_USER_POOLS"),
    authorizer(_DECIDES, authorizerType="REQUEST", service=SERVICE, url="http://a/"),
    authorizer(_DECIDES, True, authorizerType="REQUEST"),
    authorizer(_DECIDES, True, authorizerType="REQUEST", service=SERVICE, function="f"),
    authorizer(_DECIDES, True, authorizerType="REQUEST", function={"name": "f"}),
    authorizer(_DECIDES, True, authorizerType="TOKEN", url="http://a/"),
    authorizer(_DECIDES, True, authorizerType="TOKEN", url="http://a/", identitySource=""),
    authorizer(_DECIDES, True, authorizerType="TOKEN", url="http://a/", identitySource=[]),
    authorizer(_TYPE, authorizerType="JWT", jwtConfiguration={"issuer": "https://i.example"}),
    authorizer(_TYPE, apiRef=HTTP, authorizerType="TOKEN", url="http://a/", identitySource="a"),
    authorizer(_TYPE, apiRef=SOCKET, authorizerType="COGNITO_USER_POOLS", providerARNs=["arn"]),
    authorizer(
        "authorizer_result_lives_an_hour_at_most",
        authorizerType="REQUEST",
        url="http://a/",
        authorizerResultTtl="61m",
    ),
    *(
        Row(
            "UsagePlan",
            "quota_begins_within_its_period",
            {"quota": {"limit": 1, "period": period, "offset": offset}},
        )
        for period, offset in (("DAY", 1), ("WEEK", 7), ("MONTH", 28))
    ),
    Row(
        "DomainName",
        "routing_rules_are_distinct",
        _DOMAIN | {"routingRules": [{"priority": 5, "actions": [_ACTION]}] * 2},
    ),
    Row(
        "DomainName",
        "routing_rules_are_distinct",
        _DOMAIN | {"routingRules": [{"priority": 5}]},
    ),
    Row(
        "DomainName",
        "mappings_are_selected_or_not",
        _DOMAIN | {"allowedMappings": {"namespaces": "Selector"}},
    ),
    Row(
        "DomainName",
        "mappings_are_selected_or_not",
        _DOMAIN | {"allowedMappings": {"namespaces": "All", "selector": {}}},
    ),
    *(
        Row("DomainName", "routing_rules_ask_what_they_may", _rule(conditions))
        for conditions in (
            [_EMPTY],
            [_HEADERS | _PATHS],
            [_HEADERS, _HEADERS, _HEADERS],
            [_PATHS, _PATHS],
        )
    ),
    Row("DomainName", "routing_rules_lead_to_rest_apis", _rule([], "HttpApi")),
    *(
        Row("DomainName", "tls_settings_need_a_certificate", _DOMAIN | asked)
        for asked in (
            {"securityPolicy": "TLS_1_2"},
            {"mutualTlsAuthentication": {"truststoreRef": {"name": "a"}}},
            {"extensions": {"redirectHttp": True}},
        )
    ),
    *(
        Row("ApiMapping", "mapping_key_is_a_path", _MAPPING | {"apiMappingKey": text})
        for text in ("/a", "a/", "a//b", ".", "a/..", "a/../b")
    ),
)

POLICY = '{"Statement": {"Effect": "Allow", "Principal": "*", "Action": "*", "Resource": "*"}}'
GOOD: tuple[tuple[str, dict[str, Any]], ...] = (
    *(
        ("Route", key(text, api).spec)
        for text, api in (
            ("GET /", REST),
            ("GET /", HTTP),
            ("GET /a/", REST),
            ("GET /a/", HTTP),
            ("ANY /{proxy+}", REST),
            ("ANY /{proxy+}/", REST),
            ("GET /{a}/{b}/a", REST),
            ("GET /a:b,c.d-e_f", REST),
            ("GET /...", REST),
            ("GET /a%41b~!$&'()*+;=@", HTTP),
            ("GET /%C3%A4/x", HTTP),
            ("$default", HTTP),
            ("anything at all // {", SOCKET),
        )
    ),
    ("Route", route("", apiRef=SOCKET, routeKey="$connect", integration=None).spec),
    ("Route", target(type="MOCK").spec),
    ("Route", target(type="AWS_PROXY", function="f").spec),
    ("Route", target(type="AWS_PROXY", function=INLINE).spec),
    ("Route", target(type="AWS", function="f").spec),
    ("Route", target(type="AWS", url="http://a/").spec),
    ("Route", target(backends=[{"service": SERVICE}]).spec),
    ("Route", route("", integration=URL | {"timeout": "1h30m0.5s"}).spec),
    ("Route", route("", integration=URL | {"maxRequestBody": 2**53}).spec),
    ("Route", route("", integration=URL | {"maxRequestBody": "1.5Gi"}).spec),
    ("Route", route("", requestParameters={"method.request.header.a": True}).spec),
    ("RestApi", {"corsConfiguration": {"maxAge": 86400, "allowOrigins": ["*"]}}),
    ("RestApi", {"models": {"A": {"schema": "{}"}, "B": {"schema": {"type": "object"}}}}),
    ("RestApi", {"policy": POLICY}),
    ("HttpApi", {"openApi": {"openapi": "3.0.1", "x": [1, None, {"y": None}]}}),
    ("PorticoClass", {"addressTemplate": "{api}-{namespace}.{baseDomain}"}),
    ("PorticoClass", {"trustedProxies": ["10.0.0.0/8", "fd00::/8", "::1", "192.0.2.7"]}),
    ("Stage", _STAGE | {"methodSettings": {"*/*": {}, "~1pets~1{id}/GET": {}}}),
    ("Authorizer", {"apiRef": REST, "authorizerType": "REQUEST", "function": "f"}),
    (
        "Authorizer",
        {
            "apiRef": REST,
            "authorizerType": "TOKEN",
            "url": "http://a/",
            "identitySource": "method.request.header.Authorization",
            "authorizerResultTtl": "1h",
        },
    ),
    ("DomainName", _DOMAIN | {"allowedMappings": {"namespaces": "Selector", "selector": {}}}),
    ("DomainName", _rule([_HEADERS, _HEADERS, _PATHS])),
    ("DomainName", _rule([_base_path("a/...")])),
    ("DomainName", _DOMAIN | {"extensions": {"redirectHttp": False}}),
    ("ApiMapping", _MAPPING | {"apiMappingKey": "v1/orders"}),
    ("ApiMapping", _MAPPING | {"apiMappingKey": "v1.0/.well-known"}),
    ("UsagePlan", {}),
    ("IamUser", {}),
)
"""Kinds with specs that break nothing, though they look like it."""
