"""The grammar of route keys as CEL: what `portico_compiler.routekeys` says in Python.

Called by `cel`. RE2 looks neither ahead nor behind and CEL's cost has a limit, so each fault is
one regular expression that finds the first segment with it. Promises: refuses what
`routekeys.parse` refuses, with its sentence where a key has one fault.
"""

from __future__ import annotations

from portico_compiler.routekeys import METHODS

_KEY = "self.routeKey"
_FREE = "self.apiRef.kind == 'WebSocketApi' || self.routeKey == '$default'"
"""Nothing is asked of these."""
_FORM = rf"{_KEY}.matches(r'^[^ ]* /')"
_METHOD = rf"{_KEY}.matches(r'^({'|'.join(METHODS)}) /')"
_NAME = "A-Za-z0-9._:-"
_END = "(?:/|$)"

NOT_WHOLE = (
    r"/(?:[^{}/][^/]*[{}][^/]*"  # something, then a brace
    r"|\}[^/]*"
    rf"|\{{[{_NAME}]*(?:|[^+}}/{_NAME}][^/]*|\+(?:|[^}}/][^/]*|\}}[^/]+)|\}}[^/]+)"
    r"|\{\+?\})" + _END
)
"""A segment that holds a brace and is not `{name}` or `{name+}`."""
_GREEDY = rf"/\{{[{_NAME}]+\+\}}/"
_DOTS = r"/\.\.?" + _END
_REST_BAD = r"/[^/{}]*[^A-Za-z0-9_.,:{}/-][^/{}]*" + _END
"""AWS §3.2."""
_PCHAR = r"A-Za-z0-9_.~!$&'()*+,;=:@"
HTTP_BAD = (
    rf"/[^/{{}}]*(?:(?:[^{_PCHAR}%{{}}/-]|%[0-9A-Fa-f]?[^0-9A-Fa-f{{}}/])[^/{{}}]*"
    r"|%[0-9A-Fa-f]?)" + _END
)
"""RFC 3986 §3.3."""
_OPENED = rf"{_KEY}.findAll(r'\{{[{_NAME}]+')"
"""The variables of a key, each with its opening brace."""
_FIRST = (
    f"[{', '.join(str(number) for number in range(16))}]"
    f".filter(number, number < {_OPENED}.size()).map(number, {_OPENED}[number])"
)
_IS_TWICE = f"{_FIRST}.filter(other, other in [name]).size() > 1"
"""The first 16 variables of a key; the cost of comparing all with all is over the limit.

`in` because the cost of == is reckoned from the length of texts, which is unknown here.
"""
_TWICE = f"{_FIRST}.filter(name, {_IS_TWICE})[0]"
# Cut out of the key, whose length has a bound.
_TWICE_SHOWN = (
    f"{_KEY}.substring({_KEY}.indexOf({_TWICE}) + 1, {_KEY}.indexOf({_TWICE}) + size({_TWICE}))"
)


def _unless(guard: str, rule: str) -> str:
    return f"{guard} || {rule}"


def _segment(pattern: str) -> str:
    """The first segment like this, as the message shows it."""
    return f"\"'\" + {_KEY}.find({pattern}).replace('/', '') + \"'"


def _raw(pattern: str) -> str:
    return f'r"{pattern}"'


_PARSED = f"{_FREE} || !{_METHOD}"
"""Nothing more is asked of these: another rule has spoken."""

RULES: tuple[tuple[str, str, bool], ...] = (
    (
        "self.apiRef.kind != 'RestApi' || self.routeKey != '$default'",
        "REST APIs have no $default route; use ANY /{proxy+} and ANY /",
        False,
    ),
    (
        _unless(_FREE, _FORM),
        f'"\'" + {_KEY} + "\' is not METHOD /path, such as GET /pets/{{petId}}"',
        True,
    ),
    (
        _unless(f"{_FREE} || !{_FORM}", _METHOD),
        f"\"'\" + {_KEY}.find(r'^[^ ]*') + \"' is not a method; known are {', '.join(METHODS)}\"",
        True,
    ),
    (
        _unless(_PARSED, f"!{_KEY}.matches(r'^[^ ]* (?s:.*)//')"),
        "the path has an empty segment",
        False,
    ),
    (
        _unless(_PARSED, f"!{_KEY}.matches({_raw(NOT_WHOLE)})"),
        _segment(_raw(NOT_WHOLE)) + ': a variable is the whole segment, as in {name} or {name+}"',
        True,
    ),
    (
        _unless(
            _PARSED,
            f"(self.apiRef.kind == 'RestApi' ? !{_KEY}.matches({_raw(_GREEDY + '(?s:.)')}) "
            f": !{_KEY}.matches({_raw(_GREEDY)}))",
        ),
        _segment(_raw(_GREEDY)) + ' takes the rest of the path, so nothing may follow it"',
        True,
    ),
    (
        _unless(_PARSED, f"!{_FIRST}.exists(name, {_IS_TWICE})"),
        f'"the variable \'" + {_TWICE_SHOWN} + "\' is there twice"',
        True,
    ),
    (
        _unless(_PARSED, f"!{_KEY}.matches({_raw(_DOTS)})"),
        _segment(_raw(_DOTS)) + ' is not a segment that a request can have"',
        True,
    ),
    (
        _unless(
            f"{_PARSED} || self.apiRef.kind != 'RestApi'", f"!{_KEY}.matches({_raw(_REST_BAD)})"
        ),
        _segment(_raw(_REST_BAD)) + ' holds more than letters, digits and _-.,:"',
        True,
    ),
    (
        _unless(
            f"{_PARSED} || self.apiRef.kind != 'HttpApi'", f"!{_KEY}.matches({_raw(HTTP_BAD)})"
        ),
        _segment(_raw(HTTP_BAD)) + ' holds more than what RFC 3986 allows"',
        True,
    ),
)
"""Rule, message, and whether the message is CEL."""
