"""The command line of `portico usage`: what is taken, and what is wrong usage (exit code 2)."""

from __future__ import annotations

import datetime as dt

import pytest

from portico_cli import main as command
from portico_cli.usage_arguments import Named, wrong


def test_names_are_taken_as_people_write_them() -> None:
    options = command._parser().parse_args(["usage", "gold", "--key", "shop/many[one]"])
    assert options.plan == Named(None, "gold")
    assert options.key == Named("shop", "many", "one")
    options = command._parser().parse_args(["usage", "shop/gold", "--from", "2026-11-01"])
    assert options.plan == Named("shop", "gold")
    assert options.start == dt.date(2026, 11, 1)
    assert wrong(options) == ""


@pytest.mark.parametrize(
    ("arguments", "said"),
    [
        ([], "PLAN"),
        (["Gold"], "'Gold' is not a name"),
        (["gold", "--key", "a[b"], "is not a key"),
        (["gold", "--from", "1.11.2026"], "is not a day such as 2026-11-01"),
        (["gold", "--from", "2026-11-02", "--to", "2026-11-01"], "is before --from"),
        (["gold", "--remaining", "5"], "say --key"),
        (["gold", "--key", "a", "--remaining", "-5"], "not a number of requests"),
        (["gold", "--key", "a", "--remaining", "1e3"], "not a number of requests"),
        (["gold", "--key", "a", "--remaining", "5", "--to", "2026-11-01"], "without --from and"),
        (["gold", "--admin-port", "0"], "is not a port"),
        (["gold", "-o", "xml"], "invalid choice"),
    ],
)
def test_wrong_usage_is_told(
    arguments: list[str], said: str, capsys: pytest.CaptureFixture[str]
) -> None:
    with pytest.raises(SystemExit) as ended:
        command.main(["usage", *arguments])
    assert ended.value.code == 2
    assert said in capsys.readouterr().err
