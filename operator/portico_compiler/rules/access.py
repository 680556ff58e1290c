"""Rules of Authorizers, UsagePlans, DomainNames and ApiMappings.

Listed in `RULES`; each yields a Fault for what a schema cannot say.
"""

from __future__ import annotations

from portico_compiler.manifests import access, domains
from portico_compiler.problems import field_path
from portico_compiler.rules.fault import (
    COMBINATION,
    VALUE,
    Fault,
    Faults,
    bounded_duration,
    function_target,
)
from portico_ir.patterns import BadPattern
from portico_ir.textpattern import TextPattern


def authorizer_says_how_it_decides(document: access.Authorizer) -> Faults:
    spec = document.spec
    if spec.authorizer_type == "JWT":
        if spec.jwt_configuration is None:
            yield Fault("spec.jwtConfiguration", COMBINATION, "JWT needs an issuer")
        return
    if spec.authorizer_type == "COGNITO_USER_POOLS":
        if not spec.provider_arns and spec.jwt_configuration is None:
            message = "COGNITO_USER_POOLS needs a pool, or an issuer in jwtConfiguration"
            yield Fault("spec.providerARNs", COMBINATION, message)
        return
    given = [name for name in ("service", "url", "function") if getattr(spec, name)]
    if len(given) != 1:
        message = f"exactly one of service, url or function, not {', '.join(given) or 'none'}"
        yield Fault("spec", COMBINATION, f"{spec.authorizer_type} has {message}")
    yield from function_target("spec.function", spec.function)
    if spec.authorizer_type == "TOKEN" and not spec.identity_source:
        yield Fault("spec.identitySource", COMBINATION, "TOKEN needs a header (AWS §6.1)")


def authorizer_type_exists_on_its_api(document: access.Authorizer) -> Faults:
    """AWS §1.5, §14.1."""
    spec = document.spec
    allowed = {
        "RestApi": ("TOKEN", "REQUEST", "COGNITO_USER_POOLS"),
        "HttpApi": ("REQUEST", "JWT"),
        "WebSocketApi": ("REQUEST",),
    }[spec.api_ref.kind]
    if spec.authorizer_type not in allowed:
        message = f"{spec.api_ref.kind} has {' or '.join(allowed)}, not {spec.authorizer_type}"
        yield Fault("spec.authorizerType", COMBINATION, message)


def authorizer_result_lives_an_hour_at_most(document: access.Authorizer) -> Faults:
    """AWS §6.1, §4.10: 0 to 3600 seconds."""
    ttl = document.spec.authorizer_result_ttl
    if ttl is not None:
        yield from bounded_duration("spec.authorizerResultTtl", ttl, 0, 3_600_000)
    extensions = document.spec.extensions
    if extensions is not None and extensions.stale_if_error is not None:
        field = "spec.extensions.staleIfError"
        yield from bounded_duration(field, extensions.stale_if_error, 0, 3_600_000)


def authorizer_expression_is_a_pattern(document: access.Authorizer) -> Faults:
    """AWS §6.1, §6.2."""
    text = document.spec.identity_validation_expression
    if text:
        try:
            TextPattern(text)
        except BadPattern as why:
            field = "spec.identityValidationExpression"
            yield Fault(field, VALUE, f"{text!r} is not a regular expression: {why}")


def quota_begins_within_its_period(document: access.UsagePlan) -> Faults:
    """AWS §7.2: DAY 0, WEEK 0-6, MONTH 0-27."""
    quota = document.spec.quota
    if quota is None:
        return
    last = {"DAY": 0, "WEEK": 6, "MONTH": 27}[quota.period]
    if quota.offset > last:
        yield Fault("spec.quota.offset", VALUE, f"is at most {last} for {quota.period}")


def routing_rules_are_distinct(document: domains.DomainName) -> Faults:
    """AWS §8.4."""
    seen: set[int] = set()
    for position, rule in enumerate(document.spec.routing_rules):
        field = field_path("spec", "routingRules", position)
        if rule.priority in seen:
            message = f"a priority is there twice: {rule.priority}"
            yield Fault(f"{field}.priority", COMBINATION, message)
        seen.add(rule.priority)
        if len(rule.actions) != 1:
            yield Fault(f"{field}.actions", COMBINATION, "a rule has exactly one action")


def routing_rules_ask_what_they_may(document: domains.DomainName) -> Faults:
    """AWS §8.4: up to two conditions about headers, one about the path."""
    for position, rule in enumerate(document.spec.routing_rules):
        field = field_path("spec", "routingRules", position, "conditions")
        for number, condition in enumerate(rule.conditions):
            if (condition.match_headers is None) == (condition.match_base_paths is None):
                message = "has exactly one of matchHeaders and matchBasePaths"
                yield Fault(f"{field}[{number}]", COMBINATION, message)
        about_headers = [c for c in rule.conditions if c.match_headers is not None]
        about_paths = [c for c in rule.conditions if c.match_base_paths is not None]
        if len(about_headers) > 2 or len(about_paths) > 1:
            message = "at most two matchHeaders and one matchBasePaths"
            yield Fault(field, COMBINATION, message)


def routing_rules_lead_to_rest_apis(document: domains.DomainName) -> Faults:
    """AWS §8.4."""
    for position, rule in enumerate(document.spec.routing_rules):
        for number, action in enumerate(rule.actions):
            if action.invoke_api.api_ref.kind != "RestApi":
                field = field_path("spec", "routingRules", position, "actions", number)
                message = "a rule invokes a RestApi; map other APIs with an ApiMapping"
                yield Fault(f"{field}.invokeApi.apiRef.kind", COMBINATION, message)


def tls_settings_need_a_certificate(document: domains.DomainName) -> Faults:
    """Where TLS ends before us, nobody here can ask for anything of it."""
    spec = document.spec
    if spec.certificate_ref is not None:
        return
    message = "goes with a certificateRef: without one TLS does not end here"
    if spec.security_policy is not None:
        yield Fault("spec.securityPolicy", COMBINATION, message)
    if spec.mutual_tls_authentication is not None:
        yield Fault("spec.mutualTlsAuthentication", COMBINATION, message)
    if spec.extensions is not None and spec.extensions.redirect_http:
        yield Fault("spec.extensions.redirectHttp", COMBINATION, message)


def mappings_are_selected_or_not(document: domains.DomainName) -> Faults:
    allowed = document.spec.allowed_mappings
    if allowed is None:
        return
    if (allowed.namespaces == "Selector") != (allowed.selector is not None):
        message = "goes with namespaces: Selector, and only with it"
        yield Fault("spec.allowedMappings.selector", COMBINATION, message)


def mapping_key_is_a_path(document: domains.ApiMapping) -> Faults:
    """AWS §8.2."""
    field, key = "spec.apiMappingKey", document.spec.api_mapping_key
    if key.startswith("/") or key.endswith("/") or "//" in key:
        yield Fault(field, VALUE, "segments joined by single slashes, none at the ends")
    elif any(segment in (".", "..") for segment in key.split("/")):
        yield Fault(field, VALUE, "no segment is '.' or '..': such requests are refused")
