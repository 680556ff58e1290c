"""The rules between fields as CEL, each the twin of one in `portico_compiler.rules`.

Called by `schema` for every struct and field it builds. A rule stands at the struct or field it
speaks of, says what its twin says, and names the twin; tests/cluster compares both on a real API
server. Promises: within the API server's cost budget, so everything a rule walks has a bound.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, get_args

from portico_compiler.crds import access, routes
from portico_compiler.crds import apis as api_rules
from portico_compiler.crds.expression import Cel, Schema, raw, texts
from portico_compiler.manifests import apis

RULES: Mapping[str, tuple[Cel, ...]] = {**routes.RULES, **access.RULES, **api_rules.RULES}
"""By place."""
WITHOUT_CEL: Mapping[str, str] = {
    "integration_responses_are_patterns": "Java's regular expressions are not RE2's",
    "integration_function_says_where": "a text or a mapping; see unions.py",
    "authorizer_expression_is_a_pattern": "Java's regular expressions are not RE2's",
    "resource_policy_is_understood": "a policy is a language of its own",
}
"""Rules that only the compiler checks, or that are said otherwise, and why."""


def of_place(place: str) -> list[Schema]:
    """Rules that stand at a struct, a field `Struct.field` or an entry `Struct.field[]`."""
    return [cel.entry() for cel in RULES.get(place, ())]


def of_keys(place: str, names: Mapping[str, Any] | None) -> list[Schema]:
    """Rules about the keys of a mapping: a schema has no word for them."""
    found = []
    if place == "RestApiSpec.gatewayResponses":
        known = sorted(get_args(apis.GatewayResponseType))
        rule = f"self.all(key, key in {texts(known)})"
        found.append(Cel("", rule, f"the name must be one of {', '.join(known)}").entry())
    if names and "pattern" in names:
        rule = f"self.all(key, key.matches({raw(names['pattern'])}))"
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
            f"{name}.size() <= {longest} && {name}.matches({raw(pattern)})",
            f'"\'" + {name} + "\' must be a DNS label: it is part of the API\'s host name"',
            computed=True,
        ).entry()
    ]
