"""CEL for APIs, Stages, ApiDeployments and PorticoClasses.

Twins of `portico_compiler.rules.apis`. Merged into `cel.RULES`.
"""

from __future__ import annotations

from collections.abc import Mapping

from portico_compiler.crds.expression import Cel
from portico_compiler.routekeys import METHODS

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
}
"""By place: a struct, a field `Struct.field`, or an entry `Struct.field[]`."""
