"""CEL for Routes and their integrations: twins of `portico_compiler.rules.routes`.

Merged into `cel.RULES`.
"""

from __future__ import annotations

from collections.abc import Mapping

from portico_compiler.crds import routekeys
from portico_compiler.crds.expression import Cel, between, choice, texts
from portico_compiler.routekeys import SPECIAL_MESSAGES

_TARGET = "integration_has_one_target"
_BACKENDS = "has(self.backends) && size(self.backends) > 0"
_COUNT = f"(has(self.service) ? 1 : 0) + (has(self.url) ? 1 : 0) + ({_BACKENDS} ? 1 : 0)"
# Joined by hand: the cost of join() is reckoned from texts of unknown length.
_SEEN = (
    "((has(self.service) ? ', service' : '') + (has(self.url) ? ', url' : '') + "
    f"({_BACKENDS} ? ', backends' : '')).substring(2)"
)
_INTEGRATION = (
    Cel(
        _TARGET,
        f"self.type != 'MOCK' || {_COUNT} == 0",
        f"'a MOCK integration calls nothing: remove ' + {_SEEN}",
        computed=True,
    ),
    Cel(
        _TARGET,
        f"!(self.type in ['HTTP', 'HTTP_PROXY']) || {_COUNT} == 1",
        "self.type + ' has exactly one of service or url or backends, not ' + "
        f"({_COUNT} == 0 ? 'none' : {_SEEN})",
        computed=True,
    ),
    Cel(
        _TARGET,
        f"self.type != 'AWS_PROXY' || {_COUNT} == 0",
        f"'AWS_PROXY has function, not ' + {_SEEN}",
        computed=True,
    ),
    Cel(
        _TARGET,
        f"self.type != 'AWS' || {_COUNT} > 1 || !({_BACKENDS})",
        "AWS has function or service or url, not backends",
        field=".backends",
    ),
    Cel(
        _TARGET,
        f"self.type != 'AWS' || {_COUNT} < 2",
        f"'AWS has exactly one of function or service or url, not ' + {_SEEN}",
        computed=True,
    ),
)

_MISSING_TYPES = choice(
    "self.apiRef.kind",
    {
        "RestApi": "['JWT']",
        "HttpApi": "['COGNITO_USER_POOLS']",
        "WebSocketApi": "['JWT', 'COGNITO_USER_POOLS']",
    },
)
_ROUTE = (
    *(
        Cel("route_key_has_the_grammar_of_its_api", rule, message, ".routeKey", computed)
        for rule, message, computed in routekeys.RULES
    ),
    Cel(
        "route_calls_something",
        "has(self.integration) || (self.apiRef.kind == 'WebSocketApi' && "
        f"self.routeKey in {texts(SPECIAL_MESSAGES)})",
        "is required",
        ".integration",
        reason="FieldValueRequired",
    ),
    Cel(
        "integration_type_exists_on_its_api",
        "self.apiRef.kind != 'HttpApi' || !has(self.integration) || "
        "self.integration.type in ['HTTP_PROXY', 'AWS_PROXY']",
        "'an HttpApi has HTTP_PROXY and AWS_PROXY, not ' + self.integration.type",
        ".integration.type",
        computed=True,
    ),
    Cel(
        "authorizer_is_named_where_one_is_needed",
        "!(self.authorizationType in ['CUSTOM', 'JWT', 'COGNITO_USER_POOLS']) || "
        "has(self.authorizerRef)",
        "'authorizationType ' + self.authorizationType + ' needs an authorizer'",
        ".authorizerRef",
        computed=True,
    ),
    Cel(
        "authorization_type_exists_on_its_api",
        f"!(self.authorizationType in {_MISSING_TYPES})",
        "self.apiRef.kind + ' has no authorizationType ' + self.authorizationType",
        ".authorizationType",
        computed=True,
    ),
    Cel(
        "authorizer_is_asked_when_it_is_named",
        "!has(self.authorizerRef) || !(self.authorizationType in ['NONE', 'AWS_IAM'])",
        "'authorizationType ' + self.authorizationType + ' asks no authorizer'",
        ".authorizerRef",
        computed=True,
    ),
    Cel(
        "scopes_are_those_of_a_token",
        "!has(self.authorizationScopes) || size(self.authorizationScopes) == 0 || "
        "self.authorizationType in ['JWT', 'COGNITO_USER_POOLS']",
        "'only tokens have scopes: not with authorizationType ' + self.authorizationType",
        ".authorizationScopes",
        computed=True,
    ),
)

_PARAMETER = (
    r"r'^(method|route)\.request\.(path|querystring|multivaluequerystring|header|"
    r"multivalueheader)\.[a-zA-Z0-9._$-]+$'"
)
_PARAMETERS = "request_parameters_are_named_as_aws_names_them"
_NAMES = "self.map(key, key.split('.', 4)[3])"
_IS_TWICE = f"{_NAMES}.filter(other, other in [name]).size() > 1"
_REQUEST_PARAMETERS = (
    Cel(
        _PARAMETERS,
        f"self.all(key, key.matches({_PARAMETER}))",
        f'"\'" + self.filter(key, !key.matches({_PARAMETER}))[0] + '
        '"\' is not method.request.{path|querystring|header}.NAME"',
        computed=True,
    ),
    Cel(
        _PARAMETERS,
        f"!self.all(key, key.matches({_PARAMETER})) || !{_NAMES}.exists(name, {_IS_TWICE})",
        "parameter names are unique",
    ),
)


RULES: Mapping[str, tuple[Cel, ...]] = {
    "RouteSpec": _ROUTE,
    "RouteSpec.requestParameters": _REQUEST_PARAMETERS,
    "Integration": _INTEGRATION,
    "Integration.timeout": between("integration_timeout_is_sensible", "0s", "24h"),
    "Integration.maxRequestBody": (
        Cel(
            "integration_body_limit_is_sensible",
            "type(self) == int ? self <= 9007199254740992 : "
            "!quantity(self).isGreaterThan(quantity('8Pi'))",
            "is larger than any body can be",
        ),
    ),
}
"""By place: a struct, a field `Struct.field`, or an entry `Struct.field[]`."""
