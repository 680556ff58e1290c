"""Rules between fields: what a schema cannot say, one function each, closed lists.

Called by `validation` on documents that fit their schema. Each rule has a twin among the CEL
rules of the CRDs, under the function's name. A rule yields faults; it never raises and looks
at nothing but the document.
"""

from __future__ import annotations

from collections.abc import Mapping

from portico_compiler.rules import access, apis
from portico_compiler.rules.fault import Fault, Faults, Rule
from portico_compiler.rules.routes import ROUTE_RULES

__all__ = ["RULES", "Fault", "Faults", "Rule"]

RULES: Mapping[str, tuple[Rule, ...]] = {
    "PorticoClass": (apis.address_template_has_what_it_needs, apis.ranges_are_ranges),
    "RestApi": (
        apis.functions_say_where,
        apis.cors_credentials_need_named_origins,
        apis.cors_age_is_within_a_day,
        apis.resource_policy_is_understood,
    ),
    "HttpApi": (
        apis.functions_say_where,
        apis.cors_credentials_need_named_origins,
        apis.cors_age_is_within_a_day,
    ),
    "WebSocketApi": (apis.functions_say_where,),
    "Route": ROUTE_RULES,
    "Stage": (apis.method_settings_name_methods, apis.access_log_has_a_format),
    "Authorizer": (
        access.authorizer_says_how_it_decides,
        access.authorizer_type_exists_on_its_api,
        access.authorizer_result_lives_an_hour_at_most,
        access.authorizer_expression_is_a_pattern,
    ),
    "UsagePlan": (access.quota_begins_within_its_period,),
    "DomainName": (
        access.routing_rules_are_distinct,
        access.routing_rules_ask_what_they_may,
        access.routing_rules_lead_to_rest_apis,
        access.mappings_are_selected_or_not,
        access.tls_settings_need_a_certificate,
    ),
    "ApiMapping": (access.mapping_key_is_a_path,),
}
"""Closed: a kind that is not here has no rules between fields."""
