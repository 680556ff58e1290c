"""Identity sources of function authorizers: what of a request says who calls (AWS §4.10, §6.1).

Prepared once for each authorizer, asked for each request. Promises: what is read here is all that
an answer is remembered by, so it holds every line and every value of that name: a function that
looks at another one than we did must never decide for somebody else.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import NamedTuple, assert_never

from portico_dataplane.core.context import header_text, query_pairs, value
from portico_dataplane.core.messages import Request
from portico_ir.access import IdentitySource
from portico_ir.model import ApiKind

Part = str | tuple[str, ...]
"""A value, or all of several."""
Key = Part | tuple[Part, ...]
"""What an answer is remembered by."""


class Identity(NamedTuple):
    """What a request says about its caller."""

    texts: tuple[str, ...]
    """One for each source, as events show it."""
    key: Key
    """The same, and whatever else was sent under these names."""


_Reader = Callable[[Request], Part | None]


class Sources:
    """The sources of one authorizer."""

    __slots__ = ("_joins", "_readers", "key")

    key: Callable[[Request], Key | None]
    """What an answer is remembered by; None: a source is missing or empty (AWS §6.1: 401)."""

    def __init__(self, sources: tuple[IdentitySource, ...], kind: ApiKind) -> None:
        self._readers = tuple(_reader(source, kind) for source in sources)
        self._joins = kind is ApiKind.HTTP
        self.key = self._readers[0] if len(self._readers) == 1 else self._all

    def _all(self, request: Request) -> Key | None:
        parts: list[Part] = []
        for reader in self._readers:
            part = reader(request)
            if part is None:
                return None
            parts.append(part)
        return tuple(parts)

    def texts(self, key: Key) -> tuple[str, ...]:
        """One value for each source: HTTP APIs join several, REST takes the last (AWS §4.4)."""
        if len(self._readers) == 1:
            return (self._text(key),)
        return tuple(self._text(part) for part in key)

    def _text(self, part: str | tuple[Part, ...]) -> str:
        if isinstance(part, str):
            return part
        texts = [one for one in part if isinstance(one, str)]
        return ",".join(texts) if self._joins else texts[-1]


def _reader(source: IdentitySource, kind: ApiKind) -> _Reader:
    name = source.name
    match source.place:
        case "header":
            return _header(name)
        case "querystring":
            return _query(name, kind)
        case "context":
            return lambda request: value(name, request) or None
        case "stageVariable":
            return lambda request: request.stage.variables.get(name) or None
        case _:
            assert_never(source.place)


def _header(name: str) -> _Reader:
    """Any case: names of headers have none (RFC 9110 §5.1)."""
    wanted = name.lower().encode("latin-1", "replace")
    length = len(wanted)

    def read(request: Request) -> Part | None:
        found: str | None = None
        more: tuple[str, ...] = ()
        for key, raw in request.headers:
            if len(key) == length and key.lower() == wanted:
                text = header_text(raw)
                if found is None:
                    found = text
                else:
                    more = (*(more or (found,)), text)
        if found is None:
            return None
        if not more:
            return found if found.strip() else None
        return more if any(text.strip() for text in more) else None

    return read


def _query(name: str, kind: ApiKind) -> _Reader:
    """With case (AWS §4.10)."""
    rest = kind is ApiKind.REST

    def read(request: Request) -> Part | None:
        query = request.query
        if not query:
            return None
        pairs = query_pairs(query.replace(";", "&") if rest else query)
        found = tuple(given for key, given in pairs if key == name)
        if not any(text.strip() for text in found):
            return None
        return found[0] if len(found) == 1 else found

    return read
