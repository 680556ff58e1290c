"""Options of limits: each fills its field, and says what it takes."""

from __future__ import annotations

import argparse
import dataclasses
from pathlib import Path

import pytest

from portico_dataplane.limit_arguments import LIMITS, Limit, add_limits, limits_of
from portico_dataplane.settings import Settings, parse

NEEDED = ["--snapshot", "s.json"]


def test_each_fills_a_field_of_its_own() -> None:
    for limit in LIMITS:
        settings = parse([*NEEDED, f"{limit.option}=7"], {})
        assert getattr(settings, limit.field) == 7
        assert dataclasses.replace(
            settings, **{limit.field: getattr(Settings(), limit.field)}
        ) == parse(NEEDED, {})


def test_without_any_they_are_the_settings_own() -> None:
    parser = argparse.ArgumentParser()
    add_limits(parser, Settings())
    given = limits_of(parser.parse_args([]))
    assert given == {limit.field: getattr(Settings(), limit.field) for limit in LIMITS}


@pytest.mark.parametrize("limit", LIMITS, ids=lambda limit: limit.field)
def test_what_is_no_limit(limit: Limit, capsys: pytest.CaptureFixture[str]) -> None:
    for wrong in ("-1", "many", "", "nan"):
        with pytest.raises(SystemExit) as ended:
            parse([*NEEDED, f"{limit.option}={wrong}"], {})
        assert ended.value.code == 2
        assert limit.option in capsys.readouterr().err


@pytest.mark.parametrize(
    "option", ["--max-connections", "--max-in-flight", "--head-timeout", "--write-timeout"]
)
def test_none_at_all_serves_nobody(option: str) -> None:
    with pytest.raises(SystemExit):
        parse([*NEEDED, f"{option}=0"], {})


def test_the_page_has_every_option() -> None:
    page = Path(__file__).parents[3] / "docs" / "limits-and-errors.md"
    text = page.read_text()
    for limit in LIMITS:
        assert f"`{limit.option}`" in text, limit.option
