"""Rules of APIs, Stages and PorticoClasses.

Listed in `RULES`; each yields a Fault for what a schema cannot say.
"""

from __future__ import annotations

import ipaddress
import re

import msgspec

from portico_compiler import quantities
from portico_compiler.manifests import apis, classes, stages
from portico_compiler.problems import field_path
from portico_compiler.rules.fault import COMBINATION, VALUE, Fault, Faults, function_target
from portico_ir import policydocument

MAX_ACCESS_LOG_FORMAT = 3072
"""AWS §10.1."""
MAX_CORS_AGE = 86_400
"""AWS §4.7."""
MAX_POLICY = 8192
"""AWS §3.21."""


def cors_credentials_need_named_origins(document: apis.RestApi | apis.HttpApi) -> Faults:
    """AWS §4.7: allow-credentials is not supported if allow-origin is `*`."""
    cors = document.spec.cors_configuration
    if cors and cors.allow_credentials and "*" in cors.allow_origins:
        message = "allowCredentials is not supported with the origin '*'"
        yield Fault("spec.corsConfiguration.allowCredentials", COMBINATION, message)


def cors_age_is_within_a_day(document: apis.RestApi | apis.HttpApi) -> Faults:
    """AWS §4.7: -1 to 86400 seconds."""
    cors = document.spec.cors_configuration
    if cors is None or not isinstance(cors.max_age, str):
        return
    age = quantities.milliseconds(cors.max_age)
    if age is None or age > MAX_CORS_AGE * 1000:
        yield Fault("spec.corsConfiguration.maxAge", VALUE, "is more than 24h")


def functions_say_where(document: apis.RestApi | apis.HttpApi | apis.WebSocketApi) -> Faults:
    for name, function in document.spec.functions.items():
        yield from function_target(field_path("spec", "functions", name), function)


def resource_policy_is_understood(document: apis.RestApi) -> Faults:
    """AWS §3.21: whole, or nobody gets in; a Deny that is not understood denies nothing."""
    policy = document.spec.policy
    if policy is None:
        return
    text = policy if isinstance(policy, str) else msgspec.json.encode(policy).decode()
    if len(text) > MAX_POLICY:
        message = f"has {len(text)} characters, more than {MAX_POLICY}"
        yield Fault("spec.policy", VALUE, message)
        return
    for flaw in policydocument.parse(policy, "resource").flaws:
        yield Fault(field_path("spec", "policy", *flaw.steps), VALUE, flaw.message)


_METHOD_SETTING = re.compile(r"\*/\*\Z|[^/*]+/(ANY|GET|POST|PUT|PATCH|DELETE|HEAD|OPTIONS)\Z")


def method_settings_name_methods(document: stages.Stage) -> Faults:
    """AWS §3.15: `*/*`, or the resource path with `~1` for `/`, then `/METHOD`."""
    for key in document.spec.method_settings:
        if not _METHOD_SETTING.match(key):
            message = f"{key!r} is not */* or a path with ~1 for /, such as ~1pets/GET"
            yield Fault(field_path("spec", "methodSettings", key), VALUE, message)


def access_log_has_a_format(document: stages.Stage) -> Faults:
    """AWS §10.1: at most 3 KB; a variable that is not known prints `-`."""
    settings = document.spec.access_log_settings
    if settings is None:
        return
    field = "spec.accessLogSettings.format"
    if not settings.format.strip():
        yield Fault(field, VALUE, "is empty")
    elif len(settings.format.encode()) > MAX_ACCESS_LOG_FORMAT:
        yield Fault(field, VALUE, f"is longer than {MAX_ACCESS_LOG_FORMAT} bytes")


def address_template_has_what_it_needs(document: classes.PorticoClass) -> Faults:
    template = document.spec.address_template
    if template is None:
        return
    fault = template_fault(template)
    if fault:
        yield Fault("spec.addressTemplate", VALUE, fault)


def ranges_are_ranges(document: classes.PorticoClass) -> Faults:
    for position, text in enumerate(document.spec.trusted_proxies):
        try:
            ipaddress.ip_network(text, strict=False)
        except ValueError:
            field = field_path("spec", "trustedProxies", position)
            yield Fault(field, VALUE, f"{text!r} is not an address or a range")


def template_fault(template: str) -> str:
    """What is wrong with a template of default endpoints' hosts; empty when nothing is."""
    names = re.findall(r"\{([^{}]*)\}", template)
    unknown = [name for name in names if name not in ("api", "namespace", "baseDomain")]
    if unknown:
        return f"{{{unknown[0]}}} is not one of {{api}}, {{namespace}}, {{baseDomain}}"
    if "api" not in names or "namespace" not in names:
        return "must hold {api} and {namespace}, or two APIs would share a host"
    rest = re.sub(r"\{[^{}]*\}", "x", template)
    if not re.fullmatch(r"[A-Za-z0-9]([A-Za-z0-9.-]*[A-Za-z0-9])?", rest):
        return f"{template!r} is not a host name with variables"
    return ""
