"""The table of plain scalars, and that a real kubectl reads them the same way."""

from __future__ import annotations

import json
import shutil
import subprocess
from pathlib import Path
from typing import Any

import pytest

from portico_cli.yaml_scalars import Unreadable, key_text, resolved, tagged

TABLE: list[tuple[str, Any]] = [
    ("", None),
    ("~", None),
    ("null", None),
    ("Null", None),
    ("NULL", None),
    ("nUll", "nUll"),
    ("true", True),
    ("True", True),
    ("TRUE", True),
    ("tRUE", "tRUE"),
    ("false", False),
    ("FALSE", False),
    ("2020-01-01", "2020-01-01"),
    ("2020-1-1", "2020-1-1"),
    ("2020-01-01T00:00:00Z", "2020-01-01T00:00:00Z"),
    ("2020-01-01 00:00:00", "2020-01-01 00:00:00"),
    ("12:30:45", "12:30:45"),
    ("190:20:30.15", "190:20:30.15"),
    ("1:1", "1:1"),
    ("0", 0),
    ("-0", 0),
    ("+1", 1),
    ("-17", -17),
    ("0644", 420),
    ("0o17", 15),
    ("0O17", 15),
    ("089", 89),
    ("0o8", "0o8"),
    ("0x1F", 31),
    ("0X1f", 31),
    ("-0x1F", -31),
    ("0x", "0x"),
    ("0xG", "0xG"),
    ("0x1p4", "0x1p4"),
    ("0b11", 3),
    ("0B11", 3),
    ("-0b11", -3),
    ("0b1_1", 3),
    ("1_000", 1000),
    ("1__0", 10),
    ("_1", "_1"),
    ("0_1", 1),
    ("9223372036854775807", 2**63 - 1),
    ("18446744073709551615", 2**64 - 1),
    ("99999999999999999999", 1e20),
    ("9" * 400, "9" * 400),
    ("9" * 5000, "9" * 5000),
    ("1.0", 1),
    ("0.0", 0),
    ("1.5", 1.5),
    ("+1.5", 1.5),
    ("-.5", -0.5),
    (".5", 0.5),
    (".5e3", 500),
    (".e3", ".e3"),
    (".5e", ".5e"),
    ("1.", 1),
    ("1e3", 1000),
    ("1e+3", 1000),
    ("1E3", 1000),
    ("0.5e-3", 0.0005),
    ("1_0.5", 10.5),
    ("1e400", "1e400"),
    ("1e", "1e"),
    ("1.2.3", "1.2.3"),
    ("1.2.3.4", "1.2.3.4"),
    ("10.0.0.0/8", "10.0.0.0/8"),
    ("29s", "29s"),
    ("10Mi", "10Mi"),
    ("+", "+"),
    ("-x", "-x"),
    (".", "."),
    ("..", ".."),
    (".inf_", ".inf_"),
    ("=", "="),
    ("$default", "$default"),
    ("/pets/1", "/pets/1"),
]
"""Text and value; compared with a real kubectl below."""

OURS = ["yes", "Yes", "no", "NO", "on", "On", "off", "OFF", "y", "Y", "n", "N"]
"""Booleans of YAML 1.1, which kubectl still has: text here."""


@pytest.mark.parametrize(("text", "value"), TABLE, ids=[repr(text[:24]) for text, _ in TABLE])
def test_plain_scalars(text: str, value: Any) -> None:
    assert resolved(text) == value
    assert type(resolved(text)) is type(value)


@pytest.mark.parametrize("text", OURS)
def test_yes_and_no_are_text(text: str) -> None:
    assert resolved(text) == text


@pytest.mark.parametrize("text", [".inf", "-.Inf", "+.INF", ".nan", ".NaN"])
def test_what_json_has_no_value_for(text: str) -> None:
    with pytest.raises(Unreadable):
        resolved(text)


@pytest.mark.parametrize(
    ("tag", "text", "value"),
    [
        ("!", "12", "12"),
        ("tag:yaml.org,2002:str", "12", "12"),
        ("tag:yaml.org,2002:int", "12", 12),
        ("tag:yaml.org,2002:float", "12", 12),
        ("tag:yaml.org,2002:float", "1.5", 1.5),
        ("tag:yaml.org,2002:bool", "true", True),
        ("tag:yaml.org,2002:null", "~", None),
        ("tag:yaml.org,2002:timestamp", "2020-01-01", "2020-01-01"),
        ("tag:yaml.org,2002:binary", "aGVs\n bG8=", "hello"),
    ],
)
def test_tags(tag: str, text: str, value: Any) -> None:
    assert tagged(tag, text, plain=True) == value


@pytest.mark.parametrize(
    ("tag", "text"),
    [
        ("tag:yaml.org,2002:int", "x"),
        ("tag:yaml.org,2002:int", "1.5"),
        ("tag:yaml.org,2002:bool", "yes"),
        ("tag:yaml.org,2002:bool", "1"),
        ("tag:yaml.org,2002:null", "x"),
        ("tag:yaml.org,2002:binary", "?"),
        ("tag:yaml.org,2002:binary", "/w=="),
        ("tag:yaml.org,2002:python/object", "x"),
        ("!Ref", "x"),
    ],
)
def test_tags_that_do_not_fit(tag: str, text: str) -> None:
    with pytest.raises(Unreadable):
        tagged(tag, text, plain=True)


def test_keys_are_texts_as_kubectl_writes_them() -> None:
    assert [key_text(value) for value in ("a", 200, True, False, 1.5)] == [
        "a",
        "200",
        "true",
        "false",
        "1.5",
    ]
    assert key_text(None) is None


def test_kubectl_reads_the_same(tmp_path: Path) -> None:
    """Needs no cluster: `annotate --local` reads a file and prints it as JSON."""
    kubectl = shutil.which("kubectl")
    if kubectl is None:
        pytest.skip("kubectl is not on the PATH")
    manifest = tmp_path / "object.yaml"
    lines = ["apiVersion: portico.dev/v1alpha1", "kind: RestApi", "metadata: {name: x}", "spec:"]
    lines += [f"  k{number}: {text}" for number, (text, _) in enumerate(TABLE) if len(text) < 100]
    lines += ["  keys: {200: a, 1.5: b, true: c}"]
    manifest.write_text("\n".join(lines) + "\n")
    done = subprocess.run(
        [kubectl, "annotate", "--local", "-f", str(manifest), "-o", "json", "a=b"],
        capture_output=True,
        text=True,
        check=False,
        timeout=120,
        env={"HOME": str(tmp_path), "PATH": "/usr/bin:/bin"},
    )
    if done.returncode != 0:
        pytest.skip(f"kubectl cannot read a file without a cluster: {done.stderr.strip()}")
    spec = json.loads(done.stdout)["spec"]
    assert spec.pop("keys") == {"200": "a", "1.5": "b", "true": "c"}
    read = {f"k{n}": value for n, (text, value) in enumerate(TABLE) if len(text) < 100}
    # Go's encoder writes 64-bit numbers above 2^63 through a double.
    assert {k: _as_double(v) for k, v in spec.items()} == {
        k: _as_double(v) for k, v in read.items()
    }


def _as_double(value: Any) -> Any:
    if isinstance(value, int) and not isinstance(value, bool) and value >= 2**63:
        return float(value)
    return value
