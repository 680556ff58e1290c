"""MOCK integrations whose templates are constant (AWS §3.4, §3.5, §3.10).

Called for MOCK integrations of REST APIs. A request template decides a status and nothing else,
so it is reduced to that status here; templates and mappings that need an engine are not built
and break their route.
"""

from __future__ import annotations

import re
from collections.abc import Mapping

from portico_compiler.features import mappings
from portico_compiler.features.lenient import Parameter, status_of
from portico_compiler.features.scope import Scope
from portico_compiler.manifests.routes import Integration, IntegrationResponse
from portico_compiler.problems import Reason, field_path
from portico_ir.model import Broken, Mock, MockResponse, MockTemplate

DEFAULT_KEY = "default"
_HEADER = re.compile(r"method\.response\.header\.([!#$%&'*+.^_`|~0-9A-Za-z-]+)\Z")
# Velocity: `$name`, `${name}`, `$!name`; directives and comments; `#` or `$` alone are text.
_REFERENCE = re.compile(r"\$!?\{?[A-Za-z_]")
_DIRECTIVE = re.compile(
    r"#(#|\*|\[\[|@?\{?(set|if|elseif|else|end|foreach|include|parse|stop|break|evaluate"
    r"|define|macro|return)\b)"
)
_PARAMETER_CALL = re.compile(
    r"""(["']?)statusCode\1\s*:\s*(\$input\.params\(\s*(?:'[^'"()]*'|"[^'"()]*")\s*\))"""
)


def mock(integration: Integration, max_request_body: int, scope: Scope) -> Mock | Broken:
    """A MOCK integration."""
    templates = _templates(integration.request_templates, scope)
    if isinstance(templates, Broken):
        return templates
    responses: list[MockResponse] = []
    for key, response in integration.responses.items():
        compiled = _response(key, response, scope)
        if isinstance(compiled, Broken):
            return compiled
        responses.append(compiled)
    return Mock(
        templates=templates,
        passthrough=integration.passthrough_behavior,
        responses=tuple(responses),
        max_request_body=max_request_body,
    )


def needs_engine(template: str) -> bool:
    """Whether a template is more than constant text."""
    return bool(_REFERENCE.search(template) or _DIRECTIVE.search(template))


def _templates(templates: Mapping[str, str], scope: Scope) -> tuple[MockTemplate, ...] | Broken:
    found: list[MockTemplate] = []
    for content_type, text in templates.items():
        # The one expression that can stand for the status by itself.
        rest = _PARAMETER_CALL.sub("", text, count=1)
        if needs_engine(rest):
            field = field_path("spec", "integration", "requestTemplates", content_type)
            message = "templates other than a constant statusCode are not built yet"
            return scope.broken(field, Reason.NOT_IMPLEMENTED, message)
        status = status_of(text)
        if isinstance(status, Parameter):
            found.append(MockTemplate(content_type=content_type, status_param=status.name))
        else:
            found.append(MockTemplate(content_type=content_type, status=status))
    return tuple(found)


def _response(key: str, response: IntegrationResponse, scope: Scope) -> MockResponse | Broken:
    steps = ("spec", "integration", "responses", key)
    headers: list[tuple[str, str]] = []
    for name, expression in response.response_parameters.items():
        field = field_path(*steps, "responseParameters", name)
        match = _HEADER.match(name)
        if not match:
            message = f"{name!r} is not method.response.header.NAME"
            return scope.broken(field, Reason.INVALID_MAPPING, message)
        value = mappings.literal(expression)
        if value is None:
            return _not_literal(expression, field, scope)
        headers.append((match[1], value))
    for content_type, text in response.response_templates.items():
        if needs_engine(text):
            field = field_path(*steps, "responseTemplates", content_type)
            message = "templates other than constant text are not built yet"
            return scope.broken(field, Reason.NOT_IMPLEMENTED, message)
    return MockResponse(
        pattern="" if key == DEFAULT_KEY else key,
        status=_status(key, response),
        headers=tuple(headers),
        templates=tuple(response.response_templates.items()),
    )


def _status(key: str, response: IntegrationResponse) -> int:
    if response.status_code is not None:
        return int(response.status_code)
    return int(key) if re.fullmatch(r"[1-5][0-9][0-9]", key) else 200


def _not_literal(expression: str, field: str, scope: Scope) -> Broken:
    if re.match(r"(integration\.response|context|stageVariables)\.", expression):
        message = "response headers other than literal ones ('text') are not built yet"
        return scope.broken(field, Reason.NOT_IMPLEMENTED, message)
    message = f"{expression!r} is not a mapping expression (AWS §3.7)"
    return scope.broken(field, Reason.INVALID_MAPPING, message)
