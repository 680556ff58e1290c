"""CEL for Authorizers, UsagePlans, DomainNames and ApiMappings.

Twins of `portico_compiler.rules.access`. Merged into `cel.RULES`.
"""

from __future__ import annotations

from collections.abc import Mapping

from portico_compiler.crds.expression import Cel, between, choice, texts

_DECIDES = "authorizer_says_how_it_decides"
_TYPES = {
    "RestApi": ("TOKEN", "REQUEST", "COGNITO_USER_POOLS"),
    "HttpApi": ("REQUEST", "JWT"),
    "WebSocketApi": ("REQUEST",),
}
"""AWS §1.5, §14.1."""
_ALLOWED_TYPES = choice("self.apiRef.kind", {kind: texts(t) for kind, t in _TYPES.items()})
_ALLOWED_WORDS = choice(
    "self.apiRef.kind", {kind: repr(" or ".join(t)) for kind, t in _TYPES.items()}
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
        "has(self.jwtConfiguration) || "
        "(has(self.providerARNs) && size(self.providerARNs) > 0)",
        "COGNITO_USER_POOLS needs a pool, or an issuer in jwtConfiguration",
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
        f"self.apiRef.kind + ' has ' + {_ALLOWED_WORDS} + ', not ' + self.authorizerType",
        ".authorizerType",
        computed=True,
    ),
)
_LAST_DAY = choice("self.period", {"DAY": "0", "WEEK": "6", "MONTH": "27"})
_LAST_DAY_SHOWN = choice("self.period", {"DAY": "'0'", "WEEK": "'6'", "MONTH": "'27'"})


RULES: Mapping[str, tuple[Cel, ...]] = {
    "AuthorizerSpec": _AUTHORIZER,
    "AuthorizerSpec.authorizerResultTtl": between(
        "authorizer_result_lives_an_hour_at_most", "", "1h"
    ),
    "AuthorizerExtensions.staleIfError": between(
        "authorizer_result_lives_an_hour_at_most", "", "1h"
    ),
    "Quota": (
        Cel(
            "quota_begins_within_its_period",
            f"self.offset <= {_LAST_DAY}",
            f"'is at most ' + {_LAST_DAY_SHOWN} + ' for ' + self.period",
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
        Cel(
            "routing_rules_ask_what_they_may",
            "!has(self.conditions) || "
            "(self.conditions.filter(c, has(c.matchHeaders)).size() <= 2 && "
            "self.conditions.filter(c, has(c.matchBasePaths)).size() <= 1)",
            "at most two matchHeaders and one matchBasePaths",
            ".conditions",
        ),
    ),
    "RuleCondition": (
        Cel(
            "routing_rules_ask_what_they_may",
            "has(self.matchHeaders) != has(self.matchBasePaths)",
            "has exactly one of matchHeaders and matchBasePaths",
        ),
    ),
    "InvokeApi": (
        Cel(
            "routing_rules_lead_to_rest_apis",
            "!has(self.apiRef.kind) || self.apiRef.kind == 'RestApi'",
            "a rule invokes a RestApi; map other APIs with an ApiMapping",
            ".apiRef.kind",
        ),
    ),
    "DomainNameSpec": tuple(
        Cel(
            "tls_settings_need_a_certificate",
            f"has(self.certificateRef) || {idle}",
            "goes with a certificateRef: without one TLS does not end here",
            field,
        )
        for field, idle in (
            (".securityPolicy", "!has(self.securityPolicy)"),
            (".mutualTlsAuthentication", "!has(self.mutualTlsAuthentication)"),
            (
                ".extensions.redirectHttp",
                "!has(self.extensions) || !has(self.extensions.redirectHttp) || "
                "!self.extensions.redirectHttp",
            ),
        )
    ),
    "DomainNameSpec.routingRules": (
        Cel(
            "routing_rules_are_distinct",
            "self.all(rule, self.exists_one(other, other.priority == rule.priority))",
            "a priority is there twice",
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
        Cel(
            "mapping_key_is_a_path",
            "!self.matches('(^|/)[.][.]?(/|$)')",
            "no segment is '.' or '..': such requests are refused",
        ),
    ),
}
"""By place: a struct, a field `Struct.field`, or an entry `Struct.field[]`."""
