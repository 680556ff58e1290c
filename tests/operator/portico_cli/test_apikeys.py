"""What a key is made of, and how it is listed."""

from __future__ import annotations

import pytest

from portico_cli.apikeys import KeyRow, NewKey, row_of, sorted_rows, value_fault
from portico_operator.key_values import random_value


def test_values_are_random_and_fit_a_header() -> None:
    one, two = random_value(), random_value()
    assert one != two
    assert value_fault(one) == ""
    assert one.isalnum()


@pytest.mark.parametrize(
    "value", ["", "x" * 19, "x" * 129, "x" * 19 + " ", "x" * 20 + "\n", "ü" * 20]
)
def test_what_no_value_is(value: str) -> None:
    assert value_fault(value)
    assert not value or value not in value_fault(value)


def test_the_objects_of_a_new_key() -> None:
    key = NewKey("acme", "shop", ("gold", "other/silver"), "c-1", "v" * 20)
    assert key.api_key() == {
        "apiVersion": "portico.dev/v1alpha1",
        "kind": "ApiKey",
        "metadata": {"name": "acme", "namespace": "shop"},
        "spec": {
            "secretRef": {"name": "acme", "key": "value"},
            "usagePlanRefs": [{"name": "gold"}, {"name": "silver", "namespace": "other"}],
            "customerId": "c-1",
        },
    }
    assert key.secret()["stringData"] == {"value": "v" * 20}
    assert "customerId" not in key._replace(customer="").api_key()["spec"]


def test_rows_of_whatever_is_there() -> None:
    key = NewKey("acme", "shop", ("gold", "other/silver"), "c-1", "v" * 20)
    row = row_of(key.api_key())
    expected = KeyRow("shop", "acme", True, ("gold", "other/silver"), "c-1", "acme[value]")
    assert row == expected
    assert row_of({"spec": {"enabled": False, "usagePlanRefs": 3, "secretRef": None}}) == KeyRow(
        "default", "", False, (), "", ""
    )
    assert [r.name for r in sorted_rows([row._replace(name="b"), row])] == ["acme", "b"]
