"""Where a target leads: a URL, or a path, with `{name}` variables.

Parsed by `build.py` once per target, rendered once per request by `integrations/http.py`.
Promises: what is rendered is one request target and, where the host is variable, one host.
No value can end a line, add a query parameter, open a query or a fragment, name a user, or
climb out of the path that the author wrote; a value that tries is refused.
"""

from __future__ import annotations

import enum
import re
from collections.abc import Mapping
from typing import Final, NamedTuple
from urllib.parse import quote

from portico_dataplane.core import paths
from portico_ir.targets import DEFAULT_PORTS

_VARIABLE: Final = re.compile(r"\{([^{}]*)\}")
_NAME: Final = re.compile(r"[A-Za-z0-9._$:-]+")
"""AWS §3.7 for names, and `:`, which path parts may hold (AWS §3.2)."""
_CONTROL: Final = re.compile(r"[\x00-\x1f\x7f]")
_HOST: Final = re.compile(r"[A-Za-z0-9_](?:[A-Za-z0-9_.-]{0,251}[A-Za-z0-9_.])?|\[[0-9A-Fa-f:.]+\]")
_AUTHORITY: Final = re.compile(r"(\[[^\]]*\]|[^:]*)(?::([0-9]{1,5}))?")

# What may stand as it is; `%` too, because literals and values arrive percent-encoded.
_PATH_SAFE: Final = "/!$&'()*+,;=:@-._~%"
_QUERY_SAFE: Final = "/?!$&'()*+,;=:@-._~%[]"
_BROKEN_ESCAPE: Final = re.compile(r"%(?![0-9A-Fa-f]{2})")

_PATH_VALUE_UNSAFE: Final = re.compile(r"[^!-~]|[?#\\]|%(?![0-9A-Fa-f]{2})")
# In a path `&`, `=`, `;` and `+` are letters like others; in a query they would begin a new
# parameter or mean a space.
_QUERY_VALUE_UNSAFE: Final = re.compile(r"[^!-~]|[#&=;+]|%(?![0-9A-Fa-f]{2})")


class BadTemplate(ValueError):
    """A template that cannot be one, or a value that it cannot take. The message says why; it
    is for logs and status, never for a client."""


class Place(enum.Enum):
    """Where a value goes, which decides how text is encoded for it."""

    SEGMENT = "one path segment"
    SEGMENTS = "path segments, slashes kept"
    QUERY = "name or value in a query"


def encode(text: str, place: Place) -> str:
    """Decoded text as a raw value for that place; BadTemplate for text that is no Unicode."""
    if place is Place.QUERY:
        return _quoted(text, "")
    return _quoted(text, "!$&'()*+,;=:@" if place is Place.SEGMENT else "/!$&'()*+,;=:@")


def _quoted(text: str, safe: str) -> str:
    try:
        # Bytes of a header that are not UTF-8 stand in text as lone surrogates: back they go.
        return quote(text, safe=safe, errors="surrogateescape")
    except UnicodeEncodeError:
        raise BadTemplate("a value that cannot be written as UTF-8") from None


class Url(NamedTuple):
    """What a template rendered."""

    scheme: str
    """`http` or `https`; empty for a template that is only a path."""
    host: str
    """Without brackets, for the dialer."""
    port: int
    """The scheme's own when none is written; 0 for a template that is only a path."""
    authority: str
    """As it stands in a Host header."""
    path: str
    """Raw; empty when none is written."""
    query: str
    """Raw, without `?`."""


class _Part:
    """Literals with variables between them."""

    __slots__ = ("_literals", "_unsafe", "names", "text")

    def __init__(self, text: str, safe: str, unsafe: re.Pattern[str]) -> None:
        pieces = _VARIABLE.split(text)
        self.names = tuple(pieces[1::2])
        self._literals = tuple(
            # Letters that no request target may hold are encoded for the author, once.
            quote(_BROKEN_ESCAPE.sub("%25", literal), safe=safe)
            for literal in pieces[::2]
        )
        self._unsafe = unsafe
        self.text = self._literals[0]
        """The whole, where there is no variable."""

    def render(self, values: Mapping[str, str]) -> str:
        """KeyError for a variable without a value."""
        if not self.names:
            return self.text
        literals = self._literals
        if len(literals) == 2:
            value = values[self.names[0]]
            if self._unsafe.search(value) is not None:
                value = self._unsafe.sub(_escaped, value)
            return literals[0] + value + literals[1]
        rendered = [literals[0]]
        for index, name in enumerate(self.names):
            value = values[name]
            if self._unsafe.search(value) is not None:
                value = self._unsafe.sub(_escaped, value)
            rendered.append(value)
            rendered.append(literals[index + 1])
        return "".join(rendered)


def _escaped(found: re.Match[str]) -> str:
    if _CONTROL.match(found[0]) is not None:
        raise BadTemplate("a value holds a control character")
    return _quoted(found[0], "")


class UrlTemplate:
    """A target, parsed. Made by `of_url` and `of_path`."""

    __slots__ = (
        "_authority",
        "_origin",
        "_path",
        "_query",
        "_scheme",
        "_static",
        "host_is_static",
        "is_static",
        "names",
    )

    def __init__(self, scheme: str, authority: str, path: str, query: str) -> None:
        self._scheme = scheme
        self._authority = _VARIABLE.split(authority)
        self._path = _Part(path, _PATH_SAFE, _PATH_VALUE_UNSAFE)
        self._query = _Part(query, _QUERY_SAFE, _QUERY_VALUE_UNSAFE)
        self.names = frozenset((*self._authority[1::2], *self._path.names, *self._query.names))
        """Every variable."""
        self.is_static = not self.names
        """Always renders the same."""
        self.host_is_static = len(self._authority) == 1
        """Scheme, host and port hold no variable."""
        self._origin = _origin(scheme, authority) if self.host_is_static else None
        self._static: Url | None = None
        # Literal dots are refused now; a variable may be anything that is none.
        _refuse_dots(self._path.render(dict.fromkeys(self._path.names, "x")))
        if self.is_static:
            self._static = self.render({})

    @classmethod
    def of_url(cls, text: str) -> UrlTemplate:
        """`http(s)://host[:port][/path][?query]`; BadTemplate for anything else."""
        _check(text)
        scheme, separator, rest = text.partition("://")
        scheme = scheme.lower()
        if not separator or scheme not in DEFAULT_PORTS:
            raise BadTemplate("a URL begins with http:// or https://")
        end = min(at if (at := rest.find(mark)) >= 0 else len(rest) for mark in "/?")
        path, _, query = rest[end:].partition("?")
        return cls(scheme, rest[:end], path, query)

    @classmethod
    def of_path(cls, text: str) -> UrlTemplate:
        """`/path[?query]`; BadTemplate for what cannot be one."""
        _check(text)
        path, _, query = text.partition("?")
        if path and path[0] != "/":
            path = f"/{path}"
        return cls("", "", path, query)

    def origin(self) -> Url:
        """Scheme, host and port alone; BadTemplate when they hold a variable."""
        if self._origin is None:
            raise BadTemplate("the host holds a variable")
        return self._origin

    def render(self, values: Mapping[str, str]) -> Url:
        """The target for raw, percent-encoded values.

        KeyError for a variable without a value, BadTemplate for a value that must not stand
        where it is used.
        """
        if self._static is not None:
            return self._static
        path = self._path.render(values)
        # Values from a query or header were never checked for dots; an encoded one hides.
        if self._path.names and ("/." in path or "%" in path):
            _refuse_dots(path)
        query = self._query.render(values)
        origin = self._origin
        if origin is None:
            pieces = self._authority.copy()
            pieces[1::2] = [values[name] for name in pieces[1::2]]
            origin = _origin(self._scheme, "".join(pieces))
        return Url(origin.scheme, origin.host, origin.port, origin.authority, path, query)

    def __repr__(self) -> str:
        return f"UrlTemplate({self._scheme!r}, {'{}'.join(self._authority[::2])!r}, {self.names})"


def _check(text: str) -> None:
    """What holds for the text of any template."""
    if _CONTROL.search(text) is not None:
        raise BadTemplate("a control character")
    for name in _VARIABLE.findall(text):
        if _NAME.fullmatch(name) is None:
            hint = "; a greedy variable is named without its plus" if name.endswith("+") else ""
            raise BadTemplate(f"{{{name}}} is not the name of a variable{hint}")
    rest = _VARIABLE.sub("", text)
    if "{" in rest or "}" in rest:
        raise BadTemplate("a brace without its partner")
    if "#" in rest:
        raise BadTemplate("a fragment: '#' is written %23")
    if "\\" in rest:
        raise BadTemplate("a backslash")


def _refuse_dots(path: str) -> None:
    if any(paths.is_dot_segment(segment) for segment in path.split("/")):
        raise BadTemplate("a '.' or '..' segment in the path")


def _origin(scheme: str, authority: str) -> Url:
    """Host and port of a finished authority. No user, and nothing that is not a host: a value
    may choose a host where the author left that open, but not what follows it."""
    if not scheme:
        return Url("", "", 0, "", "", "")
    parts = _AUTHORITY.fullmatch(authority)
    host = parts[1] if parts is not None else ""
    if parts is None or _HOST.fullmatch(host) is None or ".." in host:
        raise BadTemplate("not a host and port")
    port = int(parts[2]) if parts[2] else DEFAULT_PORTS[scheme]
    if not 1 <= port <= 65535:
        raise BadTemplate("a port is 1 to 65535")
    return Url(scheme, host.strip("[]").lower(), port, authority, "", "")
