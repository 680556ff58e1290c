"""DomainName and ApiMapping: hosts of one's own, and what answers on them (AWS §8).

Read by the passes of domains, mappings and routing rules.
"""

from __future__ import annotations

from typing import Annotated, Literal

from msgspec import Meta

from portico_compiler.manifests.shapes import ApiRef, Host, LabelSelector, Ref, Shape, Text
from portico_compiler.manifests.stages import StageName

SecurityPolicy = Literal[
    "TLS_1_0",
    "TLS_1_2",
    "SecurityPolicy_TLS13_1_3_2025_09",
    "SecurityPolicy_TLS13_1_3_FIPS_2025_09",
    "SecurityPolicy_TLS13_1_2_PFS_PQ_2025_09",
    "SecurityPolicy_TLS13_1_2_FIPS_PFS_PQ_2025_09",
    "SecurityPolicy_TLS13_1_2_PQ_2025_09",
    "SecurityPolicy_TLS13_1_2_FIPS_PQ_2025_09",
    "SecurityPolicy_TLS13_1_2_Ext2_PQ_2025_09",
    "SecurityPolicy_TLS13_1_2_Ext2_FIPS_PQ_2025_09",
    "SecurityPolicy_TLS13_1_2_2021_06",
    "SecurityPolicy_TLS13_2025_EDGE",
    "SecurityPolicy_TLS12_PFS_2025_EDGE",
    "SecurityPolicy_TLS12_2018_EDGE",
]
"""Every name that AWS has."""

_SEGMENT = r"(\.{0,2}[A-Za-z0-9$_+!*'()-][A-Za-z0-9$_.+!*'()-]*|\.{3}[A-Za-z0-9$_.+!*'()-]*)"
"""What a request may have between two slashes: not `.` or `..`."""
BasePath = Annotated[
    str,
    Meta(
        pattern=f"^{_SEGMENT}(/{_SEGMENT})*$",
        max_length=300,
        description="a base path: segments of letters, digits and $-_.+!*'(), none of them . or "
        ".., joined by single slashes (AWS §8.2)",
    ),
]


class MutualTls(Shape, frozen=True, kw_only=True):
    """Client certificates (AWS §6.4)."""

    truststore_ref: Ref
    """Secret or ConfigMap with the authorities to trust, as `ca.crt` or `truststore.pem`; of two
    with that name the Secret."""


class HeaderMatch(Shape, frozen=True, kw_only=True):
    """A header that a rule asks for (AWS §8.4)."""

    header: Annotated[
        str,
        Meta(pattern=r"^[!#$%&'*+.^_`|~0-9A-Za-z-]+$", max_length=40, description="a header name"),
    ]
    """Header name, in any case."""
    value_glob: Annotated[
        str,
        Meta(
            pattern=r"^\*?[A-Za-z0-9?!#$%&'.^_`|~-]*\*?$",
            min_length=1,
            max_length=128,
            description="a value with * at either end or both: letters, digits and ?-!#$%&'.^_`|~",
        ),
    ]
    """Value, with `*` at either end."""


class MatchHeaders(Shape, frozen=True, kw_only=True):
    """Headers of which one must match."""

    any_of: Annotated[tuple[HeaderMatch, ...], Meta(min_length=1, max_length=50)]
    """Alternatives."""


class MatchBasePaths(Shape, frozen=True, kw_only=True):
    """Base paths of which one must match."""

    any_of: Annotated[tuple[BasePath, ...], Meta(min_length=1, max_length=50)]
    """Alternatives."""


class RuleCondition(Shape, frozen=True, kw_only=True):
    """One condition of a rule: about headers or about the path."""

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
    conditions: Annotated[tuple[RuleCondition, ...], Meta(max_length=3)] = ()
    """All must hold; none: always."""
    actions: tuple[RuleAction, ...] = ()
    """Exactly one."""


class AllowedMappings(Shape, frozen=True, kw_only=True):
    """From which namespaces ApiMappings may come."""

    namespaces: Literal["Same", "All", "Selector"] = "Same"
    """Which."""
    selector: LabelSelector | None = None
    """For Selector: labels of the namespace."""


class DomainExtensions(Shape, frozen=True, kw_only=True):
    """What a DomainName may say beyond AWS."""

    redirect_http: bool = False
    """Send plaintext requests to https: 301, and 308 where there is a body to keep."""


class DomainNameSpec(Shape, frozen=True, kw_only=True):
    """spec of a DomainName."""

    class_name: str | None = None
    """PorticoClass; absent: the default one."""
    domain_names: Annotated[tuple[Host, ...], Meta(min_length=1)]
    """Hosts; `*.example.com` allowed."""
    certificate_ref: Ref | None = None
    """A kubernetes.io/tls Secret; absent: TLS ends before us, or nowhere."""
    security_policy: SecurityPolicy | None = None
    """Lowest TLS version and ciphers (AWS §8.5); absent: TLS 1.2, and plaintext is served too."""
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
    extensions: DomainExtensions | None = None
    """What AWS does not have."""


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
