"""DomainName and ApiMapping: hosts of one's own, and what answers on them.

Decoded and checked here; not served until built.
"""

from __future__ import annotations

from typing import Annotated, Literal

from msgspec import Meta

from portico_compiler.manifests.shapes import ApiRef, Host, LabelSelector, Ref, Shape, Text
from portico_compiler.manifests.stages import StageName


class MutualTls(Shape, frozen=True, kw_only=True):
    """Client certificates (AWS §6.4)."""

    truststore_ref: Ref
    """ConfigMap or Secret with the authorities to trust."""


class HeaderMatch(Shape, frozen=True, kw_only=True):
    """A header that a rule asks for (AWS §8.4)."""

    header: Annotated[str, Meta(min_length=1, max_length=40)]
    """Header name, in any case."""
    value_glob: Annotated[str, Meta(min_length=1, max_length=128)]
    """Value, with `*` at either end."""


class MatchHeaders(Shape, frozen=True, kw_only=True):
    """Headers of which one must match."""

    any_of: tuple[HeaderMatch, ...] = ()
    """Alternatives."""


class MatchBasePaths(Shape, frozen=True, kw_only=True):
    """Base paths of which one must match."""

    any_of: tuple[str, ...] = ()
    """Alternatives."""


class RuleCondition(Shape, frozen=True, kw_only=True):
    """One condition of a rule."""

    match_headers: MatchHeaders | None = None
    """About headers."""
    match_base_paths: MatchBasePaths | None = None
    """About the path's beginning."""


class InvokeApi(Shape, frozen=True, kw_only=True):
    """Where a rule leads."""

    api_ref: ApiRef
    """The API."""
    stage: StageName
    """Its stage."""
    strip_base_path: bool = False
    """Take the matched base path off."""


class RuleAction(Shape, frozen=True, kw_only=True):
    """What a rule does."""

    invoke_api: InvokeApi
    """The one thing it can do."""


class RoutingRule(Shape, frozen=True, kw_only=True):
    """Chooses an API by header or base path (AWS §8.4)."""

    priority: Annotated[int, Meta(ge=1, le=1_000_000)]
    """Ascending; the first match wins."""
    conditions: tuple[RuleCondition, ...] = ()
    """All must hold; none: always."""
    actions: tuple[RuleAction, ...] = ()
    """Exactly one."""


class AllowedMappings(Shape, frozen=True, kw_only=True):
    """From which namespaces ApiMappings may come."""

    namespaces: Literal["Same", "All", "Selector"] = "Same"
    """Which."""
    selector: LabelSelector | None = None
    """For Selector: labels of the namespace."""


class DomainNameSpec(Shape, frozen=True, kw_only=True):
    """spec of a DomainName."""

    class_name: str | None = None
    """PorticoClass; absent: the default one."""
    domain_names: Annotated[tuple[Host, ...], Meta(min_length=1)]
    """Hosts; `*.example.com` allowed."""
    certificate_ref: Ref | None = None
    """A kubernetes.io/tls Secret."""
    security_policy: Annotated[str, Meta(max_length=128)] | None = None
    """Lowest TLS version and ciphers (AWS §8.5)."""
    mutual_tls_authentication: MutualTls | None = None
    """Ask for client certificates."""
    routing_mode: (
        Literal["API_MAPPING_ONLY", "ROUTING_RULE_ONLY", "ROUTING_RULE_THEN_API_MAPPING"] | None
    ) = None
    """Whether rules, mappings or both choose the API."""
    routing_rules: Annotated[tuple[RoutingRule, ...], Meta(max_length=200)] = ()
    """Rules in any order; priority decides."""
    allowed_mappings: AllowedMappings | None = None
    """Who may map APIs here."""


class DomainName(Shape, frozen=True, kw_only=True):
    """A DomainName's document."""

    spec: DomainNameSpec
    """What is wanted."""


class ApiMappingSpec(Shape, frozen=True, kw_only=True):
    """spec of an ApiMapping."""

    description: Text | None = None
    """For people."""
    domain_ref: Ref
    """The DomainName."""
    api_mapping_key: Annotated[
        str,
        Meta(
            pattern=r"^[A-Za-z0-9$_.+!*'()/-]*$",
            max_length=300,
            description="a mapping key: letters, digits and $-_.+!*'()/ (AWS §8.2)",
        ),
    ] = ""
    """Base path; empty takes what no other mapping takes."""
    api_ref: ApiRef
    """The API."""
    stage: StageName = "$default"
    """Its stage."""


class ApiMapping(Shape, frozen=True, kw_only=True):
    """An ApiMapping's document."""

    spec: ApiMappingSpec
    """What is wanted."""
