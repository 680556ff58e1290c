"""MOCK, prepared: an answer without a backend (AWS §3.4, §3.5, §3.10).

Made by `build.py` for each mock route, asked by `http/exchange.py` once the body is there. The
request template (or the body, where passthrough lets it by) yields a status; the status selects an
integration response; `Accept` selects its body. Which response a status selects is worked out for
every status at construction, so no regular expression runs while a request waits.
"""

from __future__ import annotations

import re
from typing import Final, NamedTuple

import msgspec

from portico_dataplane.core.context import decoded, header_text, query_pairs
from portico_dataplane.core.messages import Headers, Request, Response
from portico_dataplane.core.verdicts import Reject, Respond, Verdict
from portico_dataplane.integrations.status_pattern import STATUSES, BadPattern, matching_statuses
from portico_ir.errors import ErrorKind
from portico_ir.model import Mock, MockResponse, MockTemplate

_JSON: Final = "application/json"
_DEFAULT_PATTERNS: Final = frozenset({"", ".*"})
"""The entry without a pattern, or with `.*`, is the default (AWS §3.10)."""
_STATUS: Final = re.compile(r"\s*([1-5][0-9]{2})\s*")
# What AWS's lenient parser takes besides JSON: a bare key, a trailing comma (AWS §18).
_LENIENT: Final = re.compile(r"""\s*\{\s*["']?statusCode["']?\s*:\s*([0-9]{3})\s*,?\s*\}\s*""")


class _Answer(NamedTuple):
    """One integration response as bytes."""

    status: int
    headers: tuple[tuple[bytes, bytes], ...]
    bodies: dict[str, bytes]
    """By media type; empty: no body."""
    otherwise: bytes
    """For an Accept that names none: JSON's, else the first (AWS §3.5)."""


class MockIntegration:
    """A route that answers by itself."""

    __slots__ = ("_answers", "_passthrough", "_templates", "max_request_body")

    def __init__(self, spec: Mock) -> None:
        self.max_request_body = spec.max_request_body
        self._passthrough = spec.passthrough
        self._templates: dict[str, MockTemplate] = {}
        for template in spec.templates:
            self._templates.setdefault(_media_type(template.content_type), template)
        self._answers = _selection(spec.responses)

    def on_request(self, request: Request, body: bytes) -> Verdict:
        """The selected answer; 415 or 500 where nothing can be selected."""
        template = self._templates.get(_requested_type(request))
        if template is not None:
            status = _template_status(template, request)
        elif self._passthrough == "NEVER" or (
            self._passthrough == "WHEN_NO_TEMPLATES" and self._templates
        ):
            return Reject(ErrorKind.UNSUPPORTED_MEDIA_TYPE)
        else:
            status = _status_of_body(body)
        if status is None:
            return Reject(ErrorKind.API_CONFIGURATION_ERROR, "the mock yields no statusCode")
        answer = self._answers.get(status)
        if answer is None:
            cause = f"no integration response matches {status}"
            return Reject(ErrorKind.API_CONFIGURATION_ERROR, cause)
        headers: Headers = list(answer.headers)
        return Respond(Response(answer.status, headers, _body(answer, request)))


# --- request side ---------------------------------------------------------------------------


def _media_type(value: str) -> str:
    """The media type alone: parameters do not count (AWS §3.5)."""
    return value.partition(";")[0].strip().lower()


def _requested_type(request: Request) -> str:
    content_type = request.header(b"content-type")
    return (_media_type(content_type.decode("latin-1")) if content_type else "") or _JSON


def _template_status(template: MockTemplate, request: Request) -> int | None:
    if not template.status_param:
        return template.status
    value = _parameter(template.status_param, request)
    match = _STATUS.fullmatch(value) if value is not None else None
    return int(match[1]) if match is not None else None


def _parameter(name: str, request: Request) -> str | None:
    """`$input.params('name')`: path, then query string, then header (AWS §3.9).

    Names are case-sensitive (AWS §3.2); of a repeated one the last value counts (AWS §3.7).
    """
    raw = request.path_parameters.get(name)
    if raw is not None:
        return decoded(raw)
    found = [value for key, value in query_pairs(request.query) if key == name]
    if not found:
        wanted = name.encode("utf-8", "replace")
        found = [header_text(value) for key, value in request.headers if key == wanted]
    return found[-1] if found else None


def _status_of_body(body: bytes) -> int | None:
    """A body that is let by stands for what the template would have rendered."""
    lenient = _LENIENT.fullmatch(body.decode("utf-8", "replace")) if len(body) < 1024 else None
    if lenient is not None:
        return int(lenient[1])
    try:
        rendered = msgspec.json.decode(body)
    except (msgspec.MsgspecError, UnicodeError, RecursionError, ValueError):
        return None
    status = rendered.get("statusCode") if isinstance(rendered, dict) else None
    return status if isinstance(status, int) and not isinstance(status, bool) else None


# --- response side --------------------------------------------------------------------------


def _selection(responses: tuple[MockResponse, ...]) -> dict[int, _Answer]:
    """Status to answer (AWS §3.10, several matches: AWS §3.4)."""
    selected: dict[int, _Answer] = {}
    own: set[int] = set()
    default: _Answer | None = None
    for response in responses:
        answer = _prepared(response)
        if response.pattern in _DEFAULT_PATTERNS:
            default = default or answer
            if response.pattern and answer.status not in own:
                # `.*` matches too: it has its own status, and the rest by default.
                own.add(answer.status)
                selected[answer.status] = answer
            continue
        try:
            statuses = matching_statuses(response.pattern)
        except BadPattern:
            # A pattern that is none selects nothing; the compiler has said so.
            continue
        for status in statuses:
            # The first that matches, unless one's own status is the one that came.
            if status not in selected or (status == answer.status and status not in own):
                selected[status] = answer
        if answer.status in statuses:
            own.add(answer.status)
    if default is not None:
        for status in STATUSES:
            selected.setdefault(status, default)
    return selected


def _prepared(response: MockResponse) -> _Answer:
    headers = [
        (name.encode("latin-1", "replace"), value.encode("utf-8", "replace"))
        for name, value in response.headers
    ]
    if not any(name.lower() == b"content-type" for name, _ in headers):
        # Nobody said otherwise (AWS §2.4).
        headers.append((b"Content-Type", _JSON.encode("ascii")))
    bodies: dict[str, bytes] = {}
    for content_type, body in response.templates:
        bodies.setdefault(_media_type(content_type), body.encode("utf-8", "replace"))
    otherwise = bodies.get(_JSON, next(iter(bodies.values()), b""))
    return _Answer(response.status, tuple(headers), bodies, otherwise)


def _body(answer: _Answer, request: Request) -> bytes:
    bodies = answer.bodies
    if len(bodies) <= 1:
        return answer.otherwise
    accept = request.header(b"accept")
    if not accept:
        return answer.otherwise
    # The first type the client names (AWS §3.6 judges Accept the same way).
    first = _media_type(accept.partition(b",")[0].decode("latin-1"))
    return bodies.get(first, answer.otherwise)
