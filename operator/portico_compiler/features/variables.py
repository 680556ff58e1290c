"""`${stageVariables.x}` and `{name}` in URLs, paths and function names (design.md §3).

Stage variables are resolved here, per stage; `{name}` is checked here and filled in by the data
plane. What cannot be resolved breaks the route: AWS answers 500 "Invalid endpoint address"
(AWS §3.4).
"""

from __future__ import annotations

import re
from collections.abc import Collection

from portico_compiler.features.scope import Scope
from portico_compiler.problems import Reason
from portico_ir.model import Broken

_STAGE_VARIABLE = re.compile(r"\$\{([^{}]*)\}")
_PREFIX = "stageVariables."
_BRACED = re.compile(r"\{([^{}]*)\}")


def resolve(text: str, field: str, names: Collection[str], scope: Scope) -> str | Broken:
    """The text with stage variables filled in, all its `{name}` known."""
    faults: list[str] = []

    def value(match: re.Match[str]) -> str:
        name = match[1]
        if not name.startswith(_PREFIX):
            faults.append(f"{match[0]} is not known here; only ${{stageVariables.NAME}} is")
            return ""
        found = scope.variable(name.removeprefix(_PREFIX))
        if found is None:
            variable = name.removeprefix(_PREFIX)
            faults.append(f"stage variable {variable!r} is not set in stage {scope.stage!r}")
        return found or ""

    resolved = _STAGE_VARIABLE.sub(value, text) if "${" in text else text
    faults += [
        f"nothing fills {{{name}}}: it is no variable of the route and not mapped"
        for name in _BRACED.findall(resolved)
        if name not in names
    ]
    if not faults and ("{" in (rest := _BRACED.sub("", resolved)) or "}" in rest):
        faults.append("has a brace without its partner")
    if faults:
        return scope.broken(field, Reason.UNRESOLVED_VARIABLE, "; ".join(faults))
    return resolved


def without_names(text: str) -> str:
    """The text with every `{name}` replaced by a plain letter, for checking its grammar."""
    return _BRACED.sub("x", text)
