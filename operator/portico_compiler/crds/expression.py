"""What a CEL rule is, and pieces of CEL that several rules share.

Used by the modules that hold the rules. Promises: texts come out quoted as CEL reads them, and
in forms whose cost the API server can reckon (it takes texts of unknown length for endless).
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from typing import Any, NamedTuple

Schema = dict[str, Any]


class Cel(NamedTuple):
    """One rule."""

    twin: str
    """Name of the function in `portico_compiler.rules`; empty where there can be none."""
    rule: str
    """CEL that holds for what is right."""
    message: str
    """What to write instead; CEL when `computed`."""
    field: str = ""
    """Field below the place that is at fault, as `.name`."""
    computed: bool = False
    """The message names values."""
    reason: str = "FieldValueInvalid"
    """Kind of refusal."""

    def entry(self) -> Schema:
        """As it stands in `x-kubernetes-validations`."""
        said = {"messageExpression" if self.computed else "message": self.message}
        field = {"fieldPath": self.field} if self.field else {}
        return {"rule": self.rule} | said | field | {"reason": self.reason}


def raw(text: str) -> str:
    """A text in which a backslash is a backslash."""
    quote = '"' if "'" in text else "'"
    assert quote not in text, text
    return f"r{quote}{text}{quote}"


def texts(values: Iterable[str]) -> str:
    """A list of texts."""
    return f"[{', '.join(repr(value) for value in values)}]"


def choice(value: str, options: Mapping[str, str]) -> str:
    """CEL for each value; the last stands for all others. A map's values have unknown sizes."""
    *some, last = options.items()
    branches = "".join(f"{value} == '{key}' ? {result} : " for key, result in some)
    return f"({branches}{last[1]})"


def between(twin: str, least: str, most: str) -> tuple[Cel, ...]:
    """A duration within bounds; `least` is exclusive, and empty for none."""
    long = f'"\'" + self + "\' is more than {most}"'
    rules = [Cel(twin, f"duration(self) <= duration('{most}')", long, computed=True)]
    if least:
        none = '"\'" + self + "\' is no time at all"'
        rules.append(Cel(twin, f"duration(self) > duration('{least}')", none, computed=True))
    return tuple(rules)
