"""The runner as a program: its last line, its exit codes, what it says of a failure."""

from __future__ import annotations

import importlib.util
from pathlib import Path
from types import ModuleType

import pytest
import yaml

MOCK = {
    "type": "mock",
    "requestTemplates": {"application/json": '{"statusCode": 200}'},
    "responses": {
        "default": {"statusCode": "200", "responseTemplates": {"application/json": "hi"}}
    },
}


def case(name: str, status: int, needs: list[str]) -> dict[str, object]:
    operation = {"responses": {"200": {}}, "x-amazon-apigateway-integration": MOCK}
    return {
        "id": name,
        "source": "here",
        "basis": "documented",
        "protocol": "rest",
        "needs": needs,
        "api": {"openapi": "3.0.1", "info": {}, "paths": {"/x": {"get": operation}}},
        "steps": [{"request": {"method": "GET", "path": "/x"}, "expect": {"status": status}}],
    }


@pytest.fixture
def runner() -> ModuleType:
    spec = importlib.util.spec_from_file_location(
        "conformance_runner", Path(__file__).with_name("runner.py")
    )
    assert spec is not None
    assert spec.loader is not None
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module


def lines(capsys: pytest.CaptureFixture[str]) -> list[str]:
    return capsys.readouterr().out.splitlines()


def test_all_is_well(
    runner: ModuleType, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    (tmp_path / "a.yaml").write_text(yaml.dump([case("a", 200, ["mock"]), case("b", 200, ["vtl"])]))
    assert runner.main(["--cases", str(tmp_path)]) == 0
    printed = lines(capsys)
    assert printed[-1] == "1 passed, 0 failed, 1 skipped"
    assert [line.split() for line in printed if line.startswith(("mock", "vtl", "a.yaml"))] == [
        ["a.yaml", "1", "·", "1"],
        ["mock", "1", "·", "·"],
        ["vtl", "·", "·", "1"],
    ]


def test_a_failure_is_told_and_fails(
    runner: ModuleType, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    (tmp_path / "a.yaml").write_text(yaml.dump([case("wrong", 201, ["mock"])]))
    (tmp_path / "b.yaml").write_text("- {id: broken}")
    assert runner.main(["--cases", str(tmp_path)]) == 1
    printed = "\n".join(lines(capsys))
    assert "FAILED wrong (a.yaml)" in printed
    assert "step 1 (GET /x): status: expected 201, got 200" in printed
    assert "FAILED broken (b.yaml)" in printed
    assert printed.endswith("0 passed, 2 failed, 0 skipped")


@pytest.mark.parametrize("arguments", [["--cases", "no-such-folder"], ["-k", "no-such-id"]])
def test_wrong_usage(runner: ModuleType, arguments: list[str]) -> None:
    with pytest.raises(SystemExit) as end:
        runner.main(arguments)
    assert end.value.code == 2
