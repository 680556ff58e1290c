"""`portico usage`: what is asked, and how the answer is shown; real keepers are asked elsewhere."""

from __future__ import annotations

import json
from collections.abc import Mapping
from typing import Any

import pytest
import yaml

from portico_cli import usage
from portico_cli.main import main
from portico_cli.usage import Told, UsageFault
from portico_compiler.passes.extensions import key_id
from portico_compiler.problems import ObjectRef

ACME = key_id(ObjectRef("ApiKey", "shop", "acme"), None)
REPORT = {
    "usagePlanId": "p",
    "startDate": "2026-11-01",
    "endDate": "2026-11-03",
    "items": {ACME: [[5, 95], [0, 95], [0, 95]], "unknown001": [[0, -1], [0, -1], [2, -1]]},
}


class Kept:
    """Answers with a report."""

    namespace = "shop"

    def __init__(self) -> None:
        self.asked: list[tuple[str, str, Any]] = []
        self.checked: list[ObjectRef | None] = []
        self.answer = Told(200, REPORT)

    def check(self, plan: ObjectRef, key: ObjectRef | None) -> None:
        self.checked += (plan, key)

    def ask(self, method: str, path: str, body: Mapping[str, Any] | None = None) -> Told:
        self.asked.append((method, path, body))
        return self.answer

    def names(self) -> Mapping[str, str]:
        return {ACME: "shop/acme"}


@pytest.fixture
def kept(monkeypatch: pytest.MonkeyPatch) -> Kept:
    made = Kept()
    monkeypatch.setattr(usage, "_keeper", lambda _: made)
    return made


def test_a_table_for_people(kept: Kept, capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["usage", "gold"]) == 0
    rows = [line.split() for line in capsys.readouterr().out.splitlines()]
    assert rows == [
        ["KEY", "ID", "DAY", "USED", "REMAINING"],
        ["<unknown>", "unknown001", "2026-11-03", "2", "unlimited"],
        ["shop/acme", ACME, "2026-11-01", "5", "95"],
        ["shop/acme", ACME, "2026-11-03", "0", "95"],
    ]
    ((method, path, body),) = kept.asked
    assert (method, body) == ("GET", None)
    assert path.startswith("/usageplans/")
    assert path.endswith("/usage")


@pytest.mark.parametrize(("output", "read"), [("json", json.loads), ("yaml", yaml.safe_load)])
def test_aws_s_document_for_programs(
    kept: Kept, output: str, read: Any, capsys: pytest.CaptureFixture[str]
) -> None:
    assert main(["usage", "gold", "-o", output]) == 0
    assert read(capsys.readouterr().out) == REPORT


def test_what_is_asked(kept: Kept) -> None:
    assert main(["usage", "other/gold", "--key", "many[one]", "--to", "2026-11-30"]) == 0
    assert kept.checked == [
        ObjectRef("UsagePlan", "other", "gold"),
        ObjectRef("ApiKey", "other", "many"),
    ]
    one = key_id(ObjectRef("ApiKey", "other", "many"), "one")
    assert kept.asked[0][1].endswith(f"?startDate=2026-11-01&endDate=2026-11-30&keyId={one}")
    assert main(["usage", "gold", "--key", "acme", "--remaining", "500", "-n", "shop"]) == 0
    method, path, body = kept.asked[1]
    assert method == "PATCH"
    assert path.endswith(f"/keys/{ACME}/usage")
    operation = {"op": "replace", "path": "/remaining", "value": "500"}
    assert body == {"patchOperations": [operation]}


def test_nothing_to_show_is_said_aside(kept: Kept, capsys: pytest.CaptureFixture[str]) -> None:
    kept.answer = Told(200, {**REPORT, "items": {}})
    assert main(["usage", "gold"]) == 0
    said = capsys.readouterr()
    assert said.out == ""
    assert said.err == "no requests from 2026-11-01 to 2026-11-03\n"


@pytest.mark.parametrize(
    ("answer", "said"),
    [
        (Told(404, {"message": "Invalid Usage Plan ID specified"}), "opens no stage"),
        (Told(404, {"message": "Invalid API Key identifier specified"}), "is not in UsagePlan"),
        (Told(503, {"message": "usage is kept by two"}), "usage is kept by two"),
        (Told(400, {"message": "the usage plan has no quota"}), "the usage plan has no quota"),
        (Told(403, {"message": "Forbidden"}), "not the usage of plans (status 403)"),
        (Told(200, []), "not the usage of plans"),
        (Told(200, {"items": 5}), "not the usage of plans"),
        (Told(500, "oops"), "not the usage of plans (status 500)"),
    ],
)
def test_what_is_refused_is_said(
    kept: Kept, answer: Told, said: str, capsys: pytest.CaptureFixture[str]
) -> None:
    kept.answer = answer
    assert main(["usage", "gold", "--key", "acme"]) == 1
    error = capsys.readouterr().err
    assert said in error
    assert error.count("\n") == 1


def test_a_fault_is_a_line(
    kept: Kept, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    def ask(*_: Any) -> Told:
        raise UsageFault("nobody is there")

    monkeypatch.setattr(kept, "ask", ask)
    assert main(["usage", "gold"]) == 1
    assert capsys.readouterr().err == "nobody is there\n"
