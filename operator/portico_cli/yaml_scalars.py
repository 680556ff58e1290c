"""What a plain YAML scalar means: a resolver of ours that reads as kubectl does.

Called by `yaml_documents` for every scalar. PyYAML's own resolver makes dates, base-60
numbers and `yes`/`no` booleans that no one who writes Kubernetes manifests means; kubectl
reads octal `0644`, `0x1F`, `1_000` and turns `1e3` into the integer 1000. A test compares
this table with a real kubectl where there is one; `yes`, `no`, `on` and `off` are the one
difference on purpose: they stay text here.
"""

from __future__ import annotations

import base64
import binascii
import re
from typing import Final

Scalar = str | int | float | bool | None

_WORDS: Final[dict[str, Scalar]] = {
    "": None,
    "~": None,
    "null": None,
    "Null": None,
    "NULL": None,
    "true": True,
    "True": True,
    "TRUE": True,
    "false": False,
    "False": False,
    "FALSE": False,
}
_NOT_FINITE: Final = frozenset(
    sign + word
    for word in (".inf", ".Inf", ".INF", ".nan", ".NaN", ".NAN")
    for sign in ("", "+", "-")
    if not sign or word[1] in "iI"
)
_STARTS_A_NUMBER: Final = frozenset("+-.0123456789")
_INTEGER = re.compile(
    r"([-+]?)(?:0[xX]([0-9a-fA-F]+)|0[bB]([01]+)|0[oO]?([0-7]+)|(0|[1-9][0-9]*))\Z"
)
_FLOAT = re.compile(r"[-+]?(?:\.[0-9]+|[0-9]+(?:\.[0-9]*)?)(?:[eE][-+]?[0-9]+)?\Z")
_TAG_PREFIX = "tag:yaml.org,2002:"


class Unreadable(ValueError):
    """A scalar that JSON has no value for; the message says why."""


def resolved(text: str) -> Scalar:
    """The value of an unquoted, untagged scalar; `Unreadable` when JSON has none."""
    if text in _WORDS:
        return _WORDS[text]
    if text[0] not in _STARTS_A_NUMBER:
        return text
    if text in _NOT_FINITE:
        raise Unreadable(f"{text} has no value in JSON")
    return _number(text)


def tagged(tag: str, text: str, *, plain: bool) -> Scalar:
    """The value of a scalar with an explicit tag; `Unreadable` when the two disagree."""
    if tag == "!":
        return text
    kind = tag.removeprefix(_TAG_PREFIX)
    if kind in ("str", "timestamp"):
        return text
    if kind == "binary":
        return _from_base64(text)
    if kind not in ("int", "float", "bool", "null"):
        raise Unreadable(f"the tag {shown_tag(tag)} means nothing in a manifest")
    value = resolved(text) if plain or kind != "null" else text
    fits = {
        "int": isinstance(value, int) and not isinstance(value, bool),
        "float": isinstance(value, int | float) and not isinstance(value, bool),
        "bool": isinstance(value, bool),
        "null": value is None,
    }
    if not fits[kind]:
        raise Unreadable(f"{text!r} is not of the type {shown_tag(tag)}")
    return value


def shown_tag(tag: str) -> str:
    """A tag as people write it."""
    if tag.startswith(_TAG_PREFIX):
        return "!!" + tag.removeprefix(_TAG_PREFIX)
    return tag


def key_text(value: Scalar) -> str | None:
    """The field name that a key stands for, as kubectl writes it; None when it has none.

    `200:` is the field "200", which is how people write status codes.
    """
    if isinstance(value, str):
        return value
    if isinstance(value, bool):
        return "true" if value else "false"
    if isinstance(value, int):
        return str(value)
    if isinstance(value, float):
        return repr(value)
    return None


def integral(value: float) -> int | float:
    """A float as JSON carries it: `1.0` and `1e3` are the integers 1 and 1000."""
    if value.is_integer() and abs(value) < 2**63:
        return int(value)
    return value


def _number(text: str) -> Scalar:
    plain = text.replace("_", "") if "_" in text else text
    found = _INTEGER.match(plain)
    if found is not None and len(plain) < 80:
        value = _integer(*found.groups())
        if -(2**63) <= value < 2**63 or (value < 2**64 and not found[1]):
            return value
    if _FLOAT.match(plain) is None:
        return text
    number = float(plain)
    if number in (float("inf"), float("-inf")):
        # Out of range for a double: kubectl leaves the text alone.
        return text
    return integral(number)


def _integer(sign: str, hexa: str | None, bits: str | None, octal: str | None, ten: str) -> int:
    if hexa is not None:
        value = int(hexa, 16)
    elif bits is not None:
        value = int(bits, 2)
    elif octal is not None:
        value = int(octal, 8)
    else:
        value = int(ten)
    return -value if sign == "-" else value


def _from_base64(text: str) -> str:
    try:
        return base64.b64decode("".join(text.split()), validate=True).decode("utf-8")
    except (binascii.Error, UnicodeDecodeError) as error:
        raise Unreadable("!!binary holds something other than base64 of UTF-8 text") from error
