"""Identity sources: `$request.header.Authorization` and its like as parts of a request.

Called for authorizers of every type. Promises: each kind of API has AWS's own spelling (AWS §4.9,
§4.10, §6.1), and a text that is none of them says which ones there are.
"""

from __future__ import annotations

import re
from collections.abc import Mapping

from portico_ir.access import IdentitySource
from portico_ir.model import ApiKind

_REST = {
    "method.request.header.": "header",
    "method.request.querystring.": "querystring",
    "context.": "context",
    "stageVariables.": "stageVariable",
}
_PREFIXES: Mapping[ApiKind, Mapping[str, str]] = {
    ApiKind.REST: _REST,
    ApiKind.HTTP: {
        "$request.header.": "header",
        "$request.querystring.": "querystring",
        "$context.": "context",
        "$stageVariables.": "stageVariable",
    },
    ApiKind.WEBSOCKET: {
        "route.request.header.": "header",
        "route.request.querystring.": "querystring",
        "context.": "context",
        "stageVariables.": "stageVariable",
    },
}
_NAMES = {
    "header": re.compile(r"[!#$%&'*+.^_`|~0-9A-Za-z-]+\Z"),  # RFC 9110 §5.6.2
    "querystring": re.compile(r"[!-~]+\Z"),
    "context": re.compile(r"[A-Za-z0-9_]+(\.[A-Za-z0-9_]+)*\Z"),
    "stageVariable": re.compile(r"[A-Za-z0-9_]+\Z"),
}


def texts(said: str | tuple[str, ...] | None) -> tuple[str, ...]:
    """Each source as written: a list, or one text with commas (AWS has both)."""
    if said is None:
        return ()
    parts = (said,) if isinstance(said, str) else said
    return tuple(part.strip() for text in parts for part in text.split(",") if part.strip())


def parse(text: str, kind: ApiKind) -> IdentitySource | str:
    """The source, or what is wrong with the text."""
    prefixes = _PREFIXES[kind]
    for prefix, place in prefixes.items():
        name = text.removeprefix(prefix)
        if name == text:
            continue
        if not _NAMES[place].match(name):
            return f"{text!r} names nothing that a {place} can be called"
        return _source(place, name)
    known = ", ".join(f"{prefix}NAME" for prefix in prefixes)
    return f"{text!r} is no place of a request; known are {known}"


def _source(place: str, name: str) -> IdentitySource:
    match place:
        case "header":
            return IdentitySource(place="header", name=name)
        case "querystring":
            return IdentitySource(place="querystring", name=name)
        case "context":
            return IdentitySource(place="context", name=name)
        case _:
            return IdentitySource(place="stageVariable", name=name)
