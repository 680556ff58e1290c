"""The rules between fields as CEL, each the twin of one in `portico_compiler.rules`.

Called by `schema` for every struct and field it builds. A rule stands at the struct or field it
speaks of, says what its twin says, and names the twin; tests/cluster compares both on a real API
server. Promises: within the API server's cost budget, so everything a rule walks has a bound.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, NamedTuple, get_args

from portico_compiler.crds import routekeys
from portico_compiler.manifests import apis
from portico_compiler.routekeys import METHODS, SPECIAL_MESSAGES

Schema = dict[str, Any]


class Cel(NamedTuple):
    """One rule."""

    twin: str
    """Name of the function in `portico_compiler.rules`; empty where there can be none."""
    rule: str
    """CEL that holds for what is right."""
    message: str
    """What to write instead; CEL when `computed`."""
    field: str = ""
    """Field below the place that is at fault, as `.name`."""
    computed: bool = False
    """The message names values."""
    reason: str = "FieldValueInvalid"
    """Kind of refusal."""

    def entry(self) -> Schema:
        """As it stands in `x-kubernetes-validations`."""
        said = {"messageExpression" if self.computed else "message": self.message}
        field = {"fieldPath": self.field} if self.field else {}
        return {"rule": self.rule} | said | field | {"reason": self.reason}


def of_place(place: str) -> list[Schema]:
    """Rules that stand at a struct, a field `Struct.field` or an entry `Struct.field[]`."""
    return [cel.entry() for cel in RULES.get(place, ())]


def of_keys(place: str, names: Mapping[str, Any] | None) -> list[Schema]:
    """Rules about the keys of a mapping: a schema has no word for them."""
    found = []
    if place == "RestApiSpec.gatewayResponses":
        known = sorted(get_args(apis.GatewayResponseType))
        rule = f"self.all(key, key in {_texts(known)})"
        found.append(Cel("", rule, f"the name must be one of {', '.join(known)}").entry())
    if names and "pattern" in names:
        rule = f"self.all(key, key.matches({_raw(names['pattern'])}))"
        message = f"the name must be {names['description']}"
        found.append(Cel("", rule, message).entry())
    if names and "maxLength" in names:
        rule = f"self.all(key, key.size() <= {names['maxLength']})"
        message = f"the name must have at most {names['maxLength']} characters"
        found.append(Cel("", rule, message).entry())
    return found


def of_name(pattern: str, longest: int) -> list[Schema]:
    """At the root of a kind whose name becomes part of a host."""
    name = "self.metadata.name"
    return [
        Cel(
            "",
            f"{name}.size() <= {longest} && {name}.matches({_raw(pattern)})",
            f'"\'" + {name} + "\' must be a DNS label: it is part of the API\'s host name"',
            computed=True,
        ).entry()
    ]


def _raw(text: str) -> str:
    quote = '"' if "'" in text else "'"
    assert quote not in text, text
    return f"r{quote}{text}{quote}"


def _texts(values: tuple[str, ...] | list[str]) -> str:
    return f"[{', '.join(repr(value) for value in values)}]"


def _between(twin: str, least: str, most: str) -> tuple[Cel, ...]:
    """A duration within bounds; `least` is exclusive, and empty for none."""
    long = f'"\'" + self + "\' is more than {most}"'
    rules = [Cel(twin, f"duration(self) <= duration('{most}')", long, computed=True)]
    if least:
        none = '"\'" + self + "\' is no time at all"'
        rules.append(Cel(twin, f"duration(self) > duration('{least}')", none, computed=True))
    return tuple(rules)


# --- PorticoClass -----------------------------------------------------------------------------

_TEMPLATE = "address_template_has_what_it_needs"
_VARIABLES = "['{api}', '{namespace}', '{baseDomain}']"
_UNKNOWN = r"self.findAll(r'\{[^{}]*\}').filter(v, !(v in " + _VARIABLES + "))"
_HAS_BOTH = "self.contains('{api}') && self.contains('{namespace}')"
_FILLED = "self.replace('{api}', 'x').replace('{namespace}', 'x').replace('{baseDomain}', 'x')"
_ADDRESS_TEMPLATE = (
    Cel(
        _TEMPLATE,
        f"{_UNKNOWN}.size() == 0",
        f"{_UNKNOWN}[0] + ' is not one of {{api}}, {{namespace}}, {{baseDomain}}'",
        computed=True,
    ),
    Cel(
        _TEMPLATE,
        f"{_UNKNOWN}.size() > 0 || ({_HAS_BOTH})",
        "must hold {api} and {namespace}, or two APIs would share a host",
    ),
    Cel(
        _TEMPLATE,
        f"{_UNKNOWN}.size() > 0 || !({_HAS_BOTH}) || "
        f"{_FILLED}.matches(r'^[A-Za-z0-9]([A-Za-z0-9.-]*[A-Za-z0-9])?$')",
        '"\'" + self + "\' is not a host name with variables"',
        computed=True,
    ),
)

# --- Route ------------------------------------------------------------------------------------

_TARGET = "integration_has_one_target"
_BACKENDS = "has(self.backends) && size(self.backends) > 0"
_SEEN = (
    "[has(self.service) ? 'service' : '', has(self.url) ? 'url' : '', "
    f"{_BACKENDS} ? 'backends' : ''].filter(name, name != '')"
)
_HTTP = "self.type in ['HTTP', 'HTTP_PROXY']"
_INTEGRATION = (
    Cel(
        _TARGET,
        f"self.type != 'MOCK' || {_SEEN}.size() == 0",
        f"'a MOCK integration calls nothing: remove ' + {_SEEN}.join(', ')",
        computed=True,
    ),
    Cel(
        _TARGET,
        f"!({_HTTP}) || {_SEEN}.size() == 1",
        "self.type + ' has exactly one of service or url or backends, not ' + "
        f"({_SEEN}.size() == 0 ? 'none' : {_SEEN}.join(', '))",
        computed=True,
    ),
    Cel(
        _TARGET,
        f"self.type != 'AWS_PROXY' || {_SEEN}.size() == 0",
        f"'AWS_PROXY has function, not ' + {_SEEN}.join(', ')",
        computed=True,
    ),
    Cel(
        _TARGET,
        f"self.type != 'AWS' || !({_BACKENDS}) || {_SEEN}.size() > 1",
        "AWS has function or service or url, not backends",
        field=".backends",
    ),
    Cel(
        _TARGET,
        f"self.type != 'AWS' || {_SEEN}.size() < 2",
        "'AWS has exactly one of function or service or url, not ' + " + f"{_SEEN}.join(', ')",
        computed=True,
    ),
)

_MISSING_TYPES = (
    "{'RestApi': ['JWT'], 'HttpApi': ['COGNITO_USER_POOLS'], "
    "'WebSocketApi': ['JWT', 'COGNITO_USER_POOLS']}[self.apiRef.kind]"
)
_ROUTE = (
    *(
        Cel("route_key_has_the_grammar_of_its_api", rule, message, ".routeKey", computed)
        for rule, message, computed in routekeys.RULES
    ),
    Cel(
        "route_calls_something",
        "has(self.integration) || (self.apiRef.kind == 'WebSocketApi' && "
        f"self.routeKey in {_texts(SPECIAL_MESSAGES)})",
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
)

_PARAMETER = (
    r"r'^(method|route)\.request\.(path|querystring|multivaluequerystring|header|"
    r"multivalueheader)\.[a-zA-Z0-9._$-]+$'"
)
_PARAMETERS = "request_parameters_are_named_as_aws_names_them"
_NAMES = "self.map(key, key.split('.', 4)[3])"
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
        f"!self.all(key, key.matches({_PARAMETER})) || "
        f"{_NAMES}.all(name, {_NAMES}.indexOf(name) == {_NAMES}.lastIndexOf(name))",
        "parameter names are unique",
    ),
)

# --- Authorizer, UsagePlan --------------------------------------------------------------------

_DECIDES = "authorizer_says_how_it_decides"
_ALLOWED_TYPES = (
    "{'RestApi': ['TOKEN', 'REQUEST', 'COGNITO_USER_POOLS'], 'HttpApi': ['REQUEST', 'JWT'], "
    "'WebSocketApi': ['REQUEST']}[self.apiRef.kind]"
)
_AUTHORIZER = (
    Cel(
        _DECIDES,
        "self.authorizerType != 'JWT' || has(self.jwtConfiguration)",
        "JWT needs an issuer",
        ".jwtConfiguration",
    ),
    Cel(
        _DECIDES,
        "self.authorizerType != 'COGNITO_USER_POOLS' || "
        "(has(self.providerARNs) && size(self.providerARNs) > 0)",
        "COGNITO_USER_POOLS needs a pool",
        ".providerARNs",
    ),
    Cel(
        _DECIDES,
        "!(self.authorizerType in ['TOKEN', 'REQUEST']) || !has(self.service) || !has(self.url)",
        "self.authorizerType + ' has exactly one of service, url or function, not service, url'",
        computed=True,
    ),
    Cel(
        "authorizer_type_exists_on_its_api",
        f"self.authorizerType in {_ALLOWED_TYPES}",
        f"self.apiRef.kind + ' has ' + {_ALLOWED_TYPES}.join(' or ') + ', not ' + "
        "self.authorizerType",
        ".authorizerType",
        computed=True,
    ),
)
_LAST_DAY = "{'DAY': 0, 'WEEK': 6, 'MONTH': 27}[self.period]"

# --- all --------------------------------------------------------------------------------------

_METHOD_SETTING = rf"r'^(\*/\*|[^/*]+/({'|'.join(METHODS)}))$'"

RULES: Mapping[str, tuple[Cel, ...]] = {
    "PorticoClassSpec.addressTemplate": _ADDRESS_TEMPLATE,
    "PorticoClassSpec.trustedProxies[]": (
        Cel(
            "ranges_are_ranges",
            "isIP(self) || isCIDR(self)",
            '"\'" + self + "\' is not an address or a range"',
            computed=True,
        ),
    ),
    "FunctionEndpoint": (
        Cel(
            "functions_say_where",
            "has(self.service) != has(self.url)",
            "has exactly one of service or url",
        ),
    ),
    "Cors": (
        Cel(
            "cors_credentials_need_named_origins",
            "!self.allowCredentials || !has(self.allowOrigins) || !('*' in self.allowOrigins)",
            "allowCredentials is not supported with the origin '*'",
            ".allowCredentials",
        ),
    ),
    "Cors.maxAge": (
        Cel(
            "cors_age_is_within_a_day",
            "type(self) == int || duration(self) <= duration('24h')",
            "is more than 24h",
        ),
    ),
    "RouteSpec": _ROUTE,
    "RouteSpec.requestParameters": _REQUEST_PARAMETERS,
    "Integration": _INTEGRATION,
    "Integration.timeout": _between("integration_timeout_is_sensible", "0s", "24h"),
    "Integration.maxRequestBody": (
        Cel(
            "integration_body_limit_is_sensible",
            "type(self) == int ? self <= 9007199254740992 : "
            "!quantity(self).isGreaterThan(quantity('8Pi'))",
            "is larger than any body can be",
        ),
    ),
    "StageSpec.methodSettings": (
        Cel(
            "method_settings_name_methods",
            f"self.all(key, key.matches({_METHOD_SETTING}))",
            f'"\'" + self.filter(key, !key.matches({_METHOD_SETTING}))[0] + '
            '"\' is not */* or a path with ~1 for /, such as ~1pets/GET"',
            computed=True,
        ),
    ),
    "AccessLogSettings.format": (
        Cel("access_log_has_a_format", "self.trim() != ''", "is empty"),
        Cel(
            "access_log_has_a_format",
            "self.trim() == '' || size(bytes(self)) <= 3072",
            "is longer than 3072 bytes",
        ),
    ),
    "ApiDeploymentSpec": (
        Cel("", "self == oldSelf", "an ApiDeployment is immutable: make another one"),
    ),
    "AuthorizerSpec": _AUTHORIZER,
    "AuthorizerSpec.authorizerResultTtl": _between(
        "authorizer_result_lives_an_hour_at_most", "", "1h"
    ),
    "Quota": (
        Cel(
            "quota_begins_within_its_period",
            f"self.offset <= {_LAST_DAY}",
            f"'is at most ' + string({_LAST_DAY}) + ' for ' + self.period",
            ".offset",
            computed=True,
        ),
    ),
    "RoutingRule": (
        Cel(
            "routing_rules_are_distinct",
            "has(self.actions) && size(self.actions) == 1",
            "a rule has exactly one action",
            ".actions",
        ),
    ),
    "DomainNameSpec.routingRules": (
        Cel(
            "routing_rules_are_distinct",
            "self.all(rule, self.exists_one(other, other.priority == rule.priority))",
            "'priority ' + string(self.filter(rule, !self.exists_one(other, "
            "other.priority == rule.priority))[0].priority) + ' is there twice'",
            computed=True,
        ),
    ),
    "AllowedMappings": (
        Cel(
            "mappings_are_selected_or_not",
            "(self.namespaces == 'Selector') == has(self.selector)",
            "goes with namespaces: Selector, and only with it",
            ".selector",
        ),
    ),
    "ApiMappingSpec.apiMappingKey": (
        Cel(
            "mapping_key_is_a_path",
            "!self.startsWith('/') && !self.endsWith('/') && !self.contains('//')",
            "segments joined by single slashes, none at the ends",
        ),
    ),
}
"""By place."""
WITHOUT_CEL: Mapping[str, str] = {
    "integration_responses_are_patterns": "Java's regular expressions are not RE2's",
    "integration_function_says_where": "a text or a mapping; see unions.py",
}
"""Rules that only the compiler checks, or that are said otherwise, and why."""
