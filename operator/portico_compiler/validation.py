"""From an undecoded document to its struct, with every mistake it holds.

Called by the accept pass, once per version of an object. msgspec decodes; only when it refuses
are all mistakes looked for, by a JSON schema made from the same structs (msgspec names the
first only). What is wrong is then left out and the rest read once more (`salvaged`): the rules
between fields still speak, and a Route with a misspelt field keeps its place and answers 500
instead of leaving its path to a less specific neighbour. Promises: never raises.
"""

from __future__ import annotations

import difflib
import functools
from collections.abc import Iterator, Mapping
from typing import Any, NamedTuple

import msgspec

from portico_compiler.manifests.kinds import KINDS, Kind
from portico_compiler.problems import Reason, field_path
from portico_compiler.rules import RULES, Fault

MAX_ROUNDS = 8
"""Leaving out a mistake can make its parent incomplete; so many levels are followed."""
FREE_FORM = frozenset({"schema", "policy", "openApi"})
"""Fields whose content is the user's own JSON: nulls inside mean something."""

_TYPE_NAMES = {
    "string": "a text",
    "integer": "a whole number",
    "number": "a number",
    "boolean": "true or false",
    "object": "a mapping",
    "array": "a list",
}


class Reading(NamedTuple):
    """What a document says."""

    content: Any
    """Struct of the document; None when not even a part could be read."""
    faults: tuple[Fault, ...]
    """Every mistake; empty means that `content` is all of the document."""


class _Mistake(NamedTuple):
    """A fault with where to cut it out."""

    fault: Fault
    steps: tuple[str | int, ...]
    """What to leave out; () when leaving out cannot help."""


def read(kind_name: str, body: Mapping[str, Any]) -> Reading:
    """Decodes the body (the document without envelope) of an object."""
    try:
        return _read(KINDS[kind_name], body)
    except RecursionError:
        return Reading(None, (Fault("spec", Reason.INVALID_VALUE, "is nested too deeply"),))


def _read(kind: Kind, body: Mapping[str, Any]) -> Reading:
    encoded = _encoded(body)
    plain: Any = _without_nulls(body) if b"null" in encoded else body
    # Python's `$` also matches before a last newline; the schema's does not.
    if b'\\n"' not in encoded:
        try:
            content = msgspec.convert(plain, kind.shape)
        except (msgspec.ValidationError, RecursionError):
            pass
        else:
            return Reading(content, tuple(_broken_rules(kind.name, content)))
    return _read_with_mistakes(kind, plain)


def schema_of(kind_name: str) -> dict[str, Any]:
    """JSON schema of a kind's document without envelope."""
    return msgspec.json.schema(KINDS[kind_name].shape)


def _encoded(body: Mapping[str, Any]) -> bytes:
    """For looking into; empty when the body holds more than JSON, as a Secret's does."""
    try:
        return msgspec.json.encode(body)
    except (TypeError, ValueError, OverflowError, RecursionError):
        return b""


def _broken_rules(kind_name: str, content: Any) -> Iterator[Fault]:
    for rule in RULES.get(kind_name, ()):
        yield from rule(content)


def _read_with_mistakes(kind: Kind, plain: Any) -> Reading:
    found: list[Fault] = []
    for _ in range(MAX_ROUNDS):
        mistakes = list(_mistakes(kind, plain))
        found += [m.fault for m in mistakes if not _explained(m.fault, found)]
        if not mistakes:
            break
        if any(not mistake.steps for mistake in mistakes):
            return Reading(None, tuple(found))
        plain = _without([mistake.steps for mistake in mistakes], plain)
    try:
        content = msgspec.convert(plain, kind.shape)
    except (msgspec.ValidationError, RecursionError) as why:
        # The schema is made from the struct, so this is not expected; say what msgspec says.
        if not found:
            found.append(Fault("", Reason.INVALID_VALUE, str(why)))
        return Reading(None, tuple(found))
    # A rule about a field that is itself mistaken would only repeat it.
    found += [f for f in _broken_rules(kind.name, content) if not _explained(f, found)]
    return Reading(content, tuple(found))


def _explained(fault: Fault, found: list[Fault]) -> bool:
    """A mistake inside the field (or the field's own) already says more."""
    inside = (f"{fault.field}.", f"{fault.field}[")
    return any(other.field == fault.field or other.field.startswith(inside) for other in found)


# --- the schema's view ------------------------------------------------------------------------


@functools.cache
def _validator(kind_name: str) -> tuple[Any, dict[str, Any]]:
    # Imported when the first mistake is made: most runs have none, and it is large.
    import jsonschema_rs

    schema = schema_of(kind_name)
    return jsonschema_rs.Draft202012Validator(schema), schema


def _mistakes(kind: Kind, plain: Any) -> Iterator[_Mistake]:
    validator, schema = _validator(kind.name)
    try:
        errors = list(validator.iter_errors(plain))
    except (ValueError, RecursionError) as why:
        yield _Mistake(Fault("", Reason.INVALID_VALUE, str(why)), ())
        return
    for error in errors:
        yield from _of_error(error, schema, plain)


def _of_error(error: Any, schema: dict[str, Any], document: Any) -> Iterator[_Mistake]:
    name = error.kind.name
    steps = _steps(error.instance_path, document)
    if name == "anyOf":
        branch = _meant(error)
        if branch is None:
            wanted = " or ".join(_expected(error))
            yield _wrong(steps, f"must be {wanted}, not {_shown(error.instance)}")
        for inner in branch or ():
            yield from _of_error(inner, schema, document)
    elif name == "additionalProperties":
        known = list(_node(schema, error.schema_path).get("properties", {}))
        for unexpected in error.kind.unexpected:
            near = difflib.get_close_matches(unexpected, known, 1)
            hint = f"; did you mean {near[0]!r}?" if near else ""
            path = (*steps, unexpected)
            fault = Fault(field_path(*path), Reason.UNKNOWN_FIELD, f"unknown field{hint}")
            yield _Mistake(fault, path)
    elif name == "required":
        field = field_path(*steps, error.kind.property)
        # What lacks a part is left out as a whole; the spec itself cannot be.
        cut = steps if len(steps) > 1 else ()
        yield _Mistake(Fault(field, Reason.MISSING_FIELD, "is required"), cut)
    elif name == "propertyNames":
        key = error.kind.error.instance
        wanted = _message(error.kind.error, schema)
        yield _wrong((*steps, str(key)), f"the name {wanted}")
    else:
        yield _wrong(steps, _message(error, schema))


def _wrong(steps: tuple[str | int, ...], message: str) -> _Mistake:
    cut = steps if len(steps) > 1 else ()
    return _Mistake(Fault(field_path(*steps), Reason.INVALID_VALUE, message), cut)


def _steps(path: list[str | int], document: Any) -> tuple[str | int, ...]:
    """The path with mapping keys as texts: the validator gives `700` for the key "700"."""
    steps: list[str | int] = []
    place = document
    for step in path:
        if isinstance(place, dict):
            steps.append(str(step))
            place = place.get(str(step))
        else:
            steps.append(step)
            place = place[step] if isinstance(place, list) and isinstance(step, int) else None
    return tuple(steps)


def _meant(error: Any) -> list[Any] | None:
    """The alternative whose type the value has: only its mistakes help."""
    for branch in error.kind.context:
        if not any(
            e.kind.name == "type" and e.instance_path == error.instance_path for e in branch
        ):
            return list(branch)
    return None


def _expected(error: Any) -> list[str]:
    types = [
        inner.kind.types
        for branch in error.kind.context
        for inner in branch
        if inner.kind.name == "type"
    ]
    return [_TYPE_NAMES[name] for names in types for name in names if name in _TYPE_NAMES]


def _node(schema: dict[str, Any], path: list[str | int]) -> dict[str, Any]:
    """The schema that an error's keyword stands in."""
    node: Any = schema
    for step in path[:-1]:
        if isinstance(node, list) and isinstance(step, int):
            node = node[step] if step < len(node) else {}
        else:
            node = node.get(str(step), {}) if isinstance(node, dict) else {}
    return node if isinstance(node, dict) else {}


def _message(error: Any, schema: dict[str, Any]) -> str:
    kind, value = error.kind, _shown(error.instance)
    if kind.name == "type":
        wanted = " or ".join(_TYPE_NAMES.get(name, name) for name in kind.types)
        return f"must be {wanted}, not {value}"
    if kind.name == "enum":
        options = ", ".join(str(option) for option in kind.options)
        near = difflib.get_close_matches(str(error.instance), [str(o) for o in kind.options], 1)
        hint = f"; did you mean {near[0]}?" if near else ""
        return f"must be one of {options}, not {value}{hint}"
    if kind.name == "pattern":
        described = _node(schema, error.schema_path).get("description")
        return f"must be {described or f'like {kind.pattern}'}, not {value}"
    if kind.name in ("minimum", "maximum"):
        side = "least" if kind.name == "minimum" else "most"
        return f"must be at {side} {kind.limit}, not {value}"
    if kind.name in ("minLength", "maxLength", "minItems", "maxItems", "maxProperties"):
        if kind.name.startswith("min") and kind.limit == 1:
            return "must not be empty"
        side = "least" if kind.name.startswith("min") else "most"
        unit = "characters" if kind.name.endswith("Length") else "entries"
        return f"must have at {side} {kind.limit} {unit}"
    return str(error.message)[:300]


def _shown(value: Any) -> str:
    if isinstance(value, dict | list):
        return "a mapping" if isinstance(value, dict) else "a list"
    if isinstance(value, bool):
        return "true" if value else "false"
    text = repr(value)
    return text if len(text) <= 60 else f"{text[:57]}..."


# --- leaving out ------------------------------------------------------------------------------


def _without_nulls(value: Any) -> Any:
    """As the API server prunes them: a null field is an absent one."""
    if isinstance(value, Mapping):
        return {
            key: item if key in FREE_FORM else _without_nulls(item)
            for key, item in value.items()
            if item is not None
        }
    return [_without_nulls(item) for item in value] if isinstance(value, list) else value


def _without(cuts: list[tuple[str | int, ...]], value: Any) -> Any:
    """A copy without what the paths lead to."""
    here = {cut[0] for cut in cuts if len(cut) == 1}
    below: dict[str | int, list[tuple[str | int, ...]]] = {}
    for cut in cuts:
        if len(cut) > 1 and cut[0] not in here:
            below.setdefault(cut[0], []).append(cut[1:])
    if isinstance(value, Mapping):
        return {
            key: _without(below[key], item) if key in below else item
            for key, item in value.items()
            if key not in here
        }
    if isinstance(value, list):
        return [
            _without(below[position], item) if position in below else item
            for position, item in enumerate(value)
            if position not in here
        ]
    return value
