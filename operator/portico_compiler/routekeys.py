"""Route keys: what `GET /pets/{petId}` means, and when two of them are the same.

Called while Routes are accepted, by the rules and by the conflicts pass. Promises: a key that
parses is routable; two keys with one `slot` would take the same requests (design.md §3:
method + path with variable names erased).
"""

from __future__ import annotations

import re
from typing import Literal, NamedTuple

ApiKindName = Literal["RestApi", "HttpApi", "WebSocketApi"]

METHODS = ("ANY", "GET", "POST", "PUT", "PATCH", "DELETE", "HEAD", "OPTIONS")
"""AWS §3.2.4, §4.2."""
DEFAULT_KEY = "$default"
SPECIAL_MESSAGES = ("$connect", "$disconnect", "$default")
"""WebSocket keys that may lack an integration (design.md §3)."""

_VARIABLE = re.compile(r"\{([A-Za-z0-9._:-]+)(\+?)\}\Z")
_REST_LITERAL = re.compile(r"[A-Za-z0-9_.,:-]+\Z")
"""AWS §3.2: letters, digits, `_ - . , :`."""
_HTTP_LITERAL = re.compile(r"(?:[A-Za-z0-9_.~!$&'()*+,;=:@-]|%[0-9A-Fa-f]{2})+\Z")
"""RFC 3986 §3.3 pchar."""


class RouteKey(NamedTuple):
    """A parsed key."""

    text: str
    """As written."""
    method: str
    """Upper case; empty for keys without one."""
    path: str
    """Empty for `$default` and messages."""
    variables: tuple[str, ...]
    """Names in the path, in order, without `+`."""
    slot: str
    """Same for keys that would take the same requests."""


def parse(text: str, kind: ApiKindName) -> RouteKey | str:
    """The key, or what is wrong with it in one sentence."""
    if kind == "WebSocketApi":
        return RouteKey(text, "", "", (), text)
    if text == DEFAULT_KEY:
        if kind == "RestApi":
            return "REST APIs have no $default route; use ANY /{proxy+} and ANY /"
        return RouteKey(text, "", "", (), text)
    method, space, path = text.partition(" ")
    if not space or not path.startswith("/"):
        return f"{text!r} is not METHOD /path, such as GET /pets/{{petId}}"
    if method not in METHODS:
        return f"{method!r} is not a method; known are {', '.join(METHODS)}"
    return _with_path(text, method, path, kind)


def _with_path(text: str, method: str, path: str, kind: ApiKindName) -> RouteKey | str:
    significant = path
    if kind == "RestApi" and len(path) > 2 and path.endswith("/"):
        significant = path[:-1]  # AWS §3.2.5: `/a` and `/a/` are the same resource.
    segments = significant[1:].split("/") if significant != "/" else []
    slots: list[str] = []
    names: list[str] = []
    for position, segment in enumerate(segments):
        last = position == len(segments) - 1
        if last and segment == "" and kind == "HttpApi":
            slots.append("")  # AWS §4.2: `/pets` and `/pets/` are two routes.
            continue
        fault = _segment_fault(segment, last, names, kind)
        if fault:
            return fault
        variable = _VARIABLE.match(segment)
        slots.append(f"{{{variable[2]}}}" if variable else segment)
        if variable:
            names.append(variable[1])
    slot = f"{method} /{'/'.join(slots)}"
    return RouteKey(text, method, path, tuple(names), slot)


def _segment_fault(segment: str, last: bool, names: list[str], kind: ApiKindName) -> str:
    if segment == "":
        return "the path has an empty segment"
    if "{" in segment or "}" in segment:
        variable = _VARIABLE.match(segment)
        if not variable:
            return f"{segment!r}: a variable is the whole segment, as in {{name}} or {{name+}}"
        if variable[2] and not last:
            return f"{segment!r} takes the rest of the path, so nothing may follow it"
        if variable[1] in names:
            return f"the variable {variable[1]!r} is there twice"
        return ""
    if segment in (".", ".."):
        return f"{segment!r} is not a segment that a request can have"
    literal = _REST_LITERAL if kind == "RestApi" else _HTTP_LITERAL
    if not literal.match(segment):
        allowed = "letters, digits and _-.,:" if kind == "RestApi" else "what RFC 3986 allows"
        return f"{segment!r} holds more than {allowed}"
    return ""
