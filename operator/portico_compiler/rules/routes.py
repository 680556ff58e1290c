"""Rules of Routes and their integrations.

Listed in `RULES`; each yields a Fault for what a schema cannot say.
"""

from __future__ import annotations

import re

from portico_compiler import quantities, routekeys
from portico_compiler.manifests import routes
from portico_compiler.problems import Reason, field_path
from portico_compiler.rules.fault import (
    COMBINATION,
    VALUE,
    Fault,
    Faults,
    Rule,
    bounded_duration,
    function_target,
    regular_expression,
)


def route_key_has_the_grammar_of_its_api(document: routes.Route) -> Faults:
    spec = document.spec
    parsed = routekeys.parse(spec.route_key, spec.api_ref.kind)
    if isinstance(parsed, str):
        yield Fault("spec.routeKey", VALUE, parsed)


def route_calls_something(document: routes.Route) -> Faults:
    spec = document.spec
    optional = spec.api_ref.kind == "WebSocketApi" and spec.route_key in routekeys.SPECIAL_MESSAGES
    if spec.integration is None and not optional:
        yield Fault("spec.integration", Reason.MISSING_FIELD, "is required")


def integration_has_one_target(document: routes.Route) -> Faults:
    """AWS §3.4: a URL for HTTP types, a function for AWS types, nothing for MOCK."""
    integration = document.spec.integration
    if integration is None:
        return
    given = [
        name
        for name, value in (
            ("service", integration.service),
            ("url", integration.url),
            ("function", integration.function),
            ("backends", integration.backends),
        )
        if value
    ]
    allowed: tuple[str, ...]
    if integration.type == "MOCK":
        allowed = ()
    elif integration.type == "AWS_PROXY":
        allowed = ("function",)
    elif integration.type == "AWS":
        allowed = ("function", "service", "url")
    else:
        allowed = ("service", "url", "backends")
    field = "spec.integration"
    if not allowed:
        if given:
            message = f"a MOCK integration calls nothing: remove {', '.join(given)}"
            yield Fault(field, COMBINATION, message)
        return
    wanted = " or ".join(allowed)
    if len(given) != 1:
        shown = ", ".join(given) or "none"
        message = f"{integration.type} has exactly one of {wanted}, not {shown}"
        yield Fault(field, COMBINATION, message)
    elif given[0] not in allowed:
        message = f"{integration.type} has {wanted}, not {given[0]}"
        yield Fault(f"{field}.{given[0]}", COMBINATION, message)


def integration_type_exists_on_its_api(document: routes.Route) -> Faults:
    """AWS §1.3: HTTP APIs know proxies only."""
    spec = document.spec
    if spec.integration is None or spec.api_ref.kind != "HttpApi":
        return
    if spec.integration.type not in ("HTTP_PROXY", "AWS_PROXY"):
        message = f"an HttpApi has HTTP_PROXY and AWS_PROXY, not {spec.integration.type}"
        yield Fault("spec.integration.type", COMBINATION, message)


def integration_timeout_is_sensible(document: routes.Route) -> Faults:
    integration = document.spec.integration
    if integration is None or integration.timeout is None:
        return
    yield from bounded_duration("spec.integration.timeout", integration.timeout, 1)


def integration_body_limit_is_sensible(document: routes.Route) -> Faults:
    integration = document.spec.integration
    if integration is None or integration.max_request_body is None:
        return
    limit = quantities.size(integration.max_request_body)
    if limit is None or limit > quantities.MAX_SIZE:
        yield Fault("spec.integration.maxRequestBody", VALUE, "is larger than any body can be")


def integration_function_says_where(document: routes.Route) -> Faults:
    integration = document.spec.integration
    if integration is None:
        return
    yield from function_target("spec.integration.function", integration.function)


def integration_responses_are_patterns(document: routes.Route) -> Faults:
    """AWS §3.10: the keys are regular expressions, or `default`."""
    spec = document.spec
    if spec.integration is None or spec.api_ref.kind == "WebSocketApi":
        return
    for key in spec.integration.responses:
        yield from regular_expression(field_path("spec", "integration", "responses", key), key)


def authorizer_is_named_where_one_is_needed(document: routes.Route) -> Faults:
    """AWS §14.3: CUSTOM and COGNITO_USER_POOLS require a valid authorizer; so does JWT."""
    spec = document.spec
    needed = spec.authorization_type in ("CUSTOM", "JWT", "COGNITO_USER_POOLS")
    if needed and spec.authorizer_ref is None:
        message = f"authorizationType {spec.authorization_type} needs an authorizer"
        yield Fault("spec.authorizerRef", COMBINATION, message)


def authorization_type_exists_on_its_api(document: routes.Route) -> Faults:
    """AWS §1.5."""
    spec = document.spec
    missing = {
        "RestApi": ("JWT",),
        "HttpApi": ("COGNITO_USER_POOLS",),
        "WebSocketApi": ("JWT", "COGNITO_USER_POOLS"),
    }[spec.api_ref.kind]
    if spec.authorization_type in missing:
        message = f"{spec.api_ref.kind} has no authorizationType {spec.authorization_type}"
        yield Fault("spec.authorizationType", COMBINATION, message)


def authorizer_is_asked_when_it_is_named(document: routes.Route) -> Faults:
    """Without its type the route would be open, which is not what was meant."""
    spec = document.spec
    if spec.authorizer_ref is not None and spec.authorization_type in ("NONE", "AWS_IAM"):
        message = f"authorizationType {spec.authorization_type} asks no authorizer"
        yield Fault("spec.authorizerRef", COMBINATION, message)


def scopes_are_those_of_a_token(document: routes.Route) -> Faults:
    """AWS §3.3, §4.9: other types have no scopes, so nobody would look at them."""
    spec = document.spec
    if spec.authorization_scopes and spec.authorization_type not in ("JWT", "COGNITO_USER_POOLS"):
        message = f"only tokens have scopes: not with authorizationType {spec.authorization_type}"
        yield Fault("spec.authorizationScopes", COMBINATION, message)


_PARAMETER = re.compile(
    r"(method|route)\.request\.(path|querystring|multivaluequerystring|header|multivalueheader)"
    r"\.[a-zA-Z0-9._$-]+\Z"
)


def request_parameters_are_named_as_aws_names_them(document: routes.Route) -> Faults:
    """AWS §3.3, §3.7; names are unique across the three places."""
    seen: dict[str, str] = {}
    for key in document.spec.request_parameters:
        field = field_path("spec", "requestParameters", key)
        if not _PARAMETER.match(key):
            message = f"{key!r} is not method.request.{{path|querystring|header}}.NAME"
            yield Fault(field, VALUE, message)
            continue
        name = key.split(".", 3)[3]
        if name in seen:
            message = f"parameter names are unique, but {name!r} is also {seen[name]}"
            yield Fault(field, COMBINATION, message)
        seen.setdefault(name, key)


ROUTE_RULES: tuple[Rule, ...] = (
    route_key_has_the_grammar_of_its_api,
    route_calls_something,
    integration_has_one_target,
    integration_type_exists_on_its_api,
    integration_timeout_is_sensible,
    integration_body_limit_is_sensible,
    integration_function_says_where,
    integration_responses_are_patterns,
    authorizer_is_named_where_one_is_needed,
    authorization_type_exists_on_its_api,
    authorizer_is_asked_when_it_is_named,
    scopes_are_those_of_a_token,
    request_parameters_are_named_as_aws_names_them,
)
