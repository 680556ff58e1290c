"""portico.dev.yaml: what it may say, and every mistake with its field and line."""

from __future__ import annotations

from pathlib import Path

import pytest

from portico_cli.backends import Backend, parse
from portico_cli.processes import Command

FILE = Path("portico.dev.yaml")


def test_what_it_says(tmp_path: Path) -> None:
    (tmp_path / "sub").mkdir()
    text = """
services:
  default/pets:
    url: http://127.0.0.1:9001
    run: [python, -m, services.pets, --port, 9001]
    cwd: sub
    env: {LEVEL: 3, NAME: x}
  shop/files: {url: "https://[::1]"}
"""
    read = parse(tmp_path / "portico.dev.yaml", text)
    assert read.faults == []
    words = ("python", "-m", "services.pets", "--port", "9001")
    env = (("LEVEL", "3"), ("NAME", "x"))
    command = Command("default/pets", words, tmp_path / "sub", env, "127.0.0.1", 9001)
    assert read.backends == {
        "default/pets": Backend("default/pets", "http", "127.0.0.1", 9001, command),
        "shop/files": Backend("shop/files", "https", "::1", 443, None),
    }


@pytest.mark.parametrize(
    ("text", "line", "field", "says"),
    [
        ("[]", 1, "", "object"),
        ("services: {}\na: 1\n", 2, "a", "unknown"),
        ("services: []\n", 1, "services", "object"),
        ("services:\n  pets: {url: 'http://h:1'}\n", 2, "services.pets", "namespace/name"),
        ("services:\n  a/b: 3\n", 2, "services.a/b", "object"),
        ("services:\n  a/b: {}\n", 2, "services.a/b.url", "required"),
        ("services:\n  a/b:\n    url: x\n", 3, "services.a/b.url", "scheme"),
        ("services:\n  a/b:\n    url: ftp://h\n", 3, "services.a/b.url", "scheme"),
        ("services:\n  a/b:\n    url: http://h:1/x\n", 3, "services.a/b.url", "only"),
        ("services:\n  a/b:\n    url: http://u@h:1\n", 3, "services.a/b.url", "only"),
        ("services:\n  a/b:\n    url: http://h:x\n", 3, "services.a/b.url", "URL"),
        ("services:\n  a/b:\n    url: http://h:1\n    run: x\n", 4, "services.a/b.run", "list"),
        ("services:\n  a/b:\n    url: http://h:1\n    run: []\n", 4, "services.a/b.run", "list"),
        ("services:\n  a/b:\n    url: http://h:1\n    run: [[x]]\n", 4, "services.a/b.run", "list"),
        (
            "services:\n  a/b:\n    url: http://h:1\n    cwd: nope\n",
            4,
            "services.a/b.cwd",
            "folder",
        ),
        ("services:\n  a/b:\n    url: http://h:1\n    env: [A]\n", 4, "services.a/b.env", "object"),
        (
            "services:\n  a/b:\n    url: http://h:1\n    env:\n      A: []\n",
            5,
            "services.a/b.env.A",
            "text",
        ),
        (
            "services:\n  a/b:\n    url: http://h:1\n    urll: x\n",
            4,
            "services.a/b.urll",
            "unknown",
        ),
        ("services: {}\n---\nservices: {}\n", 3, "", "one document"),
        ("services: [\n", 2, "", ""),
    ],
)
def test_every_mistake(text: str, line: int, field: str, says: str) -> None:
    faults = parse(FILE, text).faults
    assert [(fault.line, fault.path) for fault in faults] == [(line, field)]
    assert says in faults[0].message


def test_one_mistake_leaves_the_others() -> None:
    read = parse(FILE, "services:\n  a/b: {url: 'http://h:1'}\n  c/d: {url: 5}\nx: 1\n")
    assert list(read.backends) == ["a/b"]
    assert len(read.faults) == 2


def test_an_empty_file_is_nothing() -> None:
    assert parse(FILE, "# later\n") == ({}, [])
