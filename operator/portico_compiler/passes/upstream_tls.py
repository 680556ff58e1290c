"""Pass 6b: `tlsConfig` of a Route becomes the terms of TLS to its backends (AWS §3.22, §4.3).

Called by the routes pass before the integration is built. Promises: what the terms name and cannot
be had breaks the Route, because to call without it would trust whom nobody named; the Route notes
every object that was looked at; keys are in terms only where Secrets may be used at all.
"""

from __future__ import annotations

import ipaddress
import re

from portico_compiler.features.scope import Scope
from portico_compiler.inventory import Inventory
from portico_compiler.manifests.routes import Integration, TlsConfig
from portico_compiler.manifests.shapes import Ref
from portico_compiler.memo import Memo
from portico_compiler.passes.accept import referred
from portico_compiler.passes.certificates import Reader, Unusable, certificate_of, truststore_of
from portico_compiler.problems import Problem, Reason, Severity
from portico_ir.domains import Certificate
from portico_ir.model import Broken, UpstreamTls

FIELD = "spec.integration.tlsConfig"
_NAME = re.compile(
    r"(?=.{1,253}\Z)[A-Za-z0-9_]([A-Za-z0-9_-]{0,61}[A-Za-z0-9_])?"
    r"(\.[A-Za-z0-9_]([A-Za-z0-9_-]{0,61}[A-Za-z0-9_])?)*\Z"
)


def settle_tls(
    integration: Integration, scope: Scope, inventory: Inventory, memo: Memo
) -> Broken | None:
    """Sets `scope.tls` to the terms of a Route, or says why there are none."""
    config = integration.tls_config
    if config is None or integration.type == "MOCK":
        return None
    name = config.server_name_to_verify or ""
    if name and not (_NAME.match(name) or _is_address(name)):
        field = f"{FIELD}.serverNameToVerify"
        return scope.broken(field, Reason.INVALID_VALUE, f"{name!r} is not the name of a host")
    anybody = _trusts_anybody(config, integration, scope)
    if isinstance(anybody, Broken):
        return anybody
    authorities = ""
    if config.ca_ref is not None:
        reader = _reader("caRef", config.ca_ref, scope, inventory, memo)
        trusted = truststore_of(reader, config.ca_ref)
        if isinstance(trusted, Unusable):
            return _because(scope)
        authorities = trusted.authorities
    certificate: Certificate | None = None
    if config.client_certificate_ref is not None:
        reference = config.client_certificate_ref
        reader = _reader("clientCertificateRef", reference, scope, inventory, memo)
        shown = certificate_of(reader, reference, (), scope.today())
        if isinstance(shown, Unusable):
            return _because(scope)
        # Without a day nothing of a Secret goes into a snapshot.
        certificate = shown if scope.settings.today else None
    scope.asks_for_tls = bool(name or config.ca_ref or config.client_certificate_ref)
    scope.tls = UpstreamTls(
        server_name=name, authorities=authorities, certificate=certificate, any_authority=anybody
    )
    return None


def _trusts_anybody(config: TlsConfig, integration: Integration, scope: Scope) -> bool | Broken:
    if not config.insecure_skip_verification:
        return False
    field = f"{FIELD}.insecureSkipVerification"
    if config.ca_ref is not None:
        message = "caRef says whom to trust, and this to trust anybody"
        return scope.broken(field, Reason.INVALID_COMBINATION, message)
    if integration.type == "AWS_PROXY":
        # AWS has it for HTTP and HTTP_PROXY only.
        message = "is for HTTP integrations: the function's certificate is verified all the same"
        problem = Problem(scope.route, field, Reason.FIELDS_IGNORED, message, Severity.WARNING)
        scope.problems.append(problem)
        return False
    return True


def _reader(name: str, reference: Ref, scope: Scope, inventory: Inventory, memo: Memo) -> Reader:
    """Reads for a field, whose object the Route depends on from now on."""
    for kind in ("Secret", "ConfigMap"):
        place = referred(scope.route, kind, reference.namespace, reference.name)
        scope.depends_on(kind, place.namespace, place.name)
        if place.namespace != scope.route.namespace:
            scope.depends_on("grants", place.namespace)
    field = f"{FIELD}.{name}"
    return Reader(scope.route, field, inventory, scope.problems, memo, f"upstream {name}")


def _because(scope: Scope) -> Broken:
    """What the reader has just said."""
    problem = scope.problems[-1]
    return Broken(reason=f"{problem.field}: {problem.message}")


def _is_address(text: str) -> bool:
    try:
        ipaddress.ip_address(text)
    except ValueError:
        return False
    return True
