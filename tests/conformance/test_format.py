"""The format of cases: every case of ours is read whole, and what is not of the form is refused."""

from __future__ import annotations

import re
from collections import Counter
from pathlib import Path
from typing import Any

import msgspec
import pytest

import conformance_cases as cases
from conformance_manifests import CannotArrange, exchange_of, objects_of
from portico_compiler.compiler import compile as compile_world
from portico_compiler.problems import Reason, Severity
from portico_compiler.world import SourceDocument, World

OURS = cases.load()
NEVER = {
    Reason.CONFLICTED,
    Reason.DUPLICATE_OBJECT,
    Reason.INVALID_NAME,
    Reason.INVALID_VALUE,
    Reason.MALFORMED_DOCUMENT,
    Reason.MISSING_FIELD,
    Reason.UNKNOWN_FIELD,
    Reason.UNKNOWN_KIND,
}
"""What the compiler may not say of any case: the cases are right."""
EXCHANGE: dict[str, Any] = {
    "id": "x",
    "source": "s",
    "basis": "recorded",
    "protocol": "rest",
    "needs": ["mock"],
    "api": {},
    "steps": [{"request": {"method": "GET", "path": "/"}}],
}


def test_every_case_is_readable() -> None:
    assert [case for case in OURS if isinstance(case, cases.Unreadable)] == []
    assert len(OURS) >= 592


def test_ids_are_unique() -> None:
    counted = Counter(case.id for case in OURS)
    assert [name for name, count in counted.items() if count > 1] == []


def test_capabilities_are_those_of_the_list() -> None:
    assert cases.BUILT <= cases.CAPABILITIES
    read = [case for case in OURS if not isinstance(case, cases.Unreadable)]
    assert {name for case in read for name in cases.needed(case)} <= cases.CAPABILITIES


def test_an_unknown_capability_is_one_that_is_not_built() -> None:
    case = cases.read_case(EXCHANGE | {"needs": ["telepathy"]}, "f", "f[0]")
    assert not isinstance(case, cases.Unreadable)
    assert cases.missing(case) == {"telepathy"}


@pytest.mark.parametrize("path", sorted(cases.CASES.glob("*.yaml")), ids=lambda path: path.stem)
def test_the_objects_of_every_case_can_be_written(path: Path) -> None:
    """Also of those that are skipped: the importer takes everything, the compiler reads it."""
    for read in cases.load_file(path):
        case = exchange_of(read) if isinstance(read, cases.Conversion) else read
        if not isinstance(case, cases.Exchange):
            continue
        try:
            objects, problems = objects_of(_without_placeholders(case), {})
        except CannotArrange:
            assert case.stage.canary is not None
            continue
        assert [each for each in problems if each.severity is Severity.ERROR] == []
        assert {each["kind"] for each in objects} >= {"Stage", "Route"}
        documents = [SourceDocument(each, case.file, i) for i, each in enumerate(objects)]
        world, refused = World.from_documents(documents)
        found = [*refused, *compile_world(world).report.problems]
        assert [str(each) for each in found if each.reason in NEVER] == []


def _without_placeholders(case: cases.Exchange) -> cases.Exchange:
    text = msgspec.json.encode(case).decode()
    text = re.sub(r'"\{issuer:(\w+)\}"', r'"https://\1.example"', text)
    text = re.sub(r"\{(?:backend|token):(\w+)\}", r"\1", text)
    return msgspec.json.decode(text, type=cases.Exchange)


@pytest.mark.parametrize(
    "change",
    [
        {"unheard-of": 1},
        {"basis": "guessed"},
        {"protocol": "smtp"},
        {"steps": [{}]},
        {"steps": [{"request": {"method": "GET", "path": "/"}, "connect": {}}]},
        {"steps": [{"request": {"method": "GET"}}]},
        {"steps": [{"request": {"method": "GET", "path": "/"}, "expect": {"statsu": 200}}]},
        {"steps": [{"receive": {}, "expect": {"json": {"a": [{"$matches": "x"}]}}}]},
        {"steps": [{"receive": {}, "expect": {"backend": {"name": "nobody"}}}]},
        {"backends": {"b": {"kind": "ftp"}}},
        {"stage": {"name": "x", "color": "red"}},
    ],
)
def test_what_is_not_of_the_form_is_refused(change: dict[str, Any]) -> None:
    assert isinstance(cases.read_case(EXCHANGE, "f", "f[0]"), cases.Exchange)
    assert isinstance(cases.read_case(EXCHANGE | change, "f", "f[0]"), cases.Unreadable)


def test_unknown_parts_of_a_backend_s_request_are_refused() -> None:
    step = {"receive": {}, "expect": {"backend": {"name": "b", "request": {"verb": "GET"}}}}
    case = EXCHANGE | {"backends": {"b": {"kind": "echo"}}, "steps": [step]}
    assert isinstance(cases.read_case(case, "f", "f[0]"), cases.Unreadable)


@pytest.mark.parametrize("raw", [None, [], "text", 3])
def test_a_case_is_a_mapping(raw: Any) -> None:
    assert isinstance(cases.read_case(raw, "f", "f[0]"), cases.Unreadable)


@pytest.mark.parametrize("text", ["a: [", "just: a mapping", "\x00", "- 3"])
def test_a_file_that_is_no_list_of_cases_is_one_unreadable_case(tmp_path: Path, text: str) -> None:
    file = tmp_path / "below" / "bad.yaml"
    file.parent.mkdir()
    file.write_text(text)
    (found,) = cases.load(tmp_path)
    assert cases.load(file) == [found]
    assert isinstance(found, cases.Unreadable)


def test_cases_that_do_not_say_what_they_need() -> None:
    told = {"id": "x", "source": "s", "basis": "recorded"}
    vtl = cases.read_case(told | {"template": "$x", "expect": ""}, "f", "f[0]")
    assert not isinstance(vtl, cases.Unreadable)
    assert cases.needed(vtl) == {"vtl"}
    answer = told | {"protocol": "rest", "payload": "1.0", "returns": {}, "expect": {"status": 200}}
    conversion = cases.read_case(answer, "f", "f[0]")
    assert not isinstance(conversion, cases.Unreadable)
    assert cases.needed(conversion) == {"lambda"}
