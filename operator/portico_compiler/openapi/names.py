"""Names of the objects that an import makes.

Called by the importer. Promises: a DNS label; the same API, method and path give the same name
whatever else the document holds, so that importing an edited document changes only what was
edited; different ones give different names.
"""

from __future__ import annotations

import hashlib
import re

MAX_LABEL = 63
_HASH = 8
# Lower case, nothing between the slashes that a label would have to spell otherwise: then the
# label says it all, and needs no digest to be unique.
_PLAIN_PATH = re.compile(r"(/[a-z0-9]+)*/?\Z")
_PLAIN_WORD = re.compile(r"[a-z0-9]+\Z")


def route_name(api: str, method: str, path: str) -> str:
    """Name of the Route for a method and path; `$default` is a path without a method."""
    if path == "$default":
        return _label(api, "default", exact=True, of=path)
    plain = bool(_PLAIN_PATH.match(path)) and not path.endswith("/", 1)
    return _label(api, f"{method}{path}", exact=plain, of=f"{method} {path}")


def part_name(api: str, part: str) -> str:
    """Name of an object of this API that the document names itself: a stage, an authorizer."""
    return _label(api, part, exact=bool(_PLAIN_WORD.match(part)), of=part)


def model_name(method: str, path: str, media_type: str) -> str:
    """Name of a model for a schema that stands in an operation (AWS §9.1: letters, digits)."""
    words = re.findall(r"[A-Za-z0-9]+", f"{method.lower()} {path}")
    digest = _digest(f"{method} {path} {media_type}")
    return "".join(word[:1].upper() + word[1:] for word in words)[:40] + digest


def _label(api: str, text: str, *, exact: bool, of: str) -> str:
    slug = re.sub(r"[^a-z0-9]+", "-", f"{api}-{text}".lower()).strip("-")
    if exact and len(slug) <= MAX_LABEL:
        return slug
    return f"{slug[: MAX_LABEL - _HASH - 1].rstrip('-')}-{_digest(f'{api} {of}')}"


def _digest(text: str) -> str:
    return hashlib.sha256(text.encode("utf-8", "surrogatepass")).hexdigest()[:_HASH]
