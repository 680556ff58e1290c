"""MOCK integrations of constants (AWS §3.4, §3.10); templates that need an engine break."""

from __future__ import annotations

from typing import Any

import msgspec
import pytest

import scopes
from portico_compiler.features import mocks
from portico_compiler.manifests.routes import Integration
from portico_compiler.problems import Reason
from portico_ir.model import Broken, Mock, MockResponse, MockTemplate

OK = '{"statusCode": 200}'


def built(**given: Any) -> tuple[Any, list[Reason]]:
    scope = scopes.scope()
    integration = msgspec.convert({"type": "MOCK", **given}, Integration)
    return mocks.mock(integration, 10, scope), [p.reason for p in scope.problems]


def test_everything_constant() -> None:
    found, problems = built(
        requestTemplates={"b/b": OK, "a/a": "{statusCode: $input.params('s')}", "c/c": "text"},
        passthroughBehavior="NEVER",
        responses={
            r"4\d{2}": {
                "statusCode": "404",
                "responseParameters": {"method.response.header.X-A": "'v'"},
                "responseTemplates": {"z/z": "costs 5$, #1 of 3", "a/a": ""},
            },
            "default": {"statusCode": 204},
        },
    )
    assert problems == []
    assert found == Mock(
        templates=(
            MockTemplate(content_type="b/b", status=200),
            MockTemplate(content_type="a/a", status_param="s"),
            MockTemplate(content_type="c/c"),
        ),
        passthrough="NEVER",
        responses=(
            MockResponse(
                pattern=r"4\d{2}",
                status=404,
                headers=(("X-A", "v"),),
                templates=(("z/z", "costs 5$, #1 of 3"), ("a/a", "")),
            ),
            MockResponse(pattern="", status=204),
        ),
        max_request_body=10,
    )


def test_a_response_without_status_has_that_of_its_key() -> None:
    found, _ = built(responses={"404": {}, "5..": {}, "default": {}})
    assert [r.status for r in found.responses] == [404, 200, 200]


@pytest.mark.parametrize(
    "template",
    [
        "#set($a = 1) " + OK,
        '{"statusCode": $context.status}',
        '{"statusCode": 200, "a": "$input.params(\'x\')"}',
        "{\"statusCode\": $input.params('a'), \"b\": $input.params('b')}",
        '{"statusCode": ${code}}',
        '{"statusCode": $!code}',
        "## comment\n" + OK,
        "#* comment *# " + OK,
        "#if(true)" + OK + "#end",
        '{"statusCode": $input.params($name)}',
    ],
)
def test_request_templates_that_need_an_engine(template: str) -> None:
    found, problems = built(requestTemplates={"a/a": template})
    assert isinstance(found, Broken)
    assert problems == [Reason.NOT_IMPLEMENTED]


@pytest.mark.parametrize(
    ("template", "needs"),
    [
        ("$input.body", True),
        ("${x}", True),
        ("$!{x}", True),
        ("$x", True),
        ("#foreach($a in $b)", True),
        ("#[[raw]]#", True),
        ("#{end}", True),
        ("## x", True),
        ("$", False),
        ("$5", False),
        ("5$ and #1", False),
        ("#13ff93", False),
        ("# heading", False),
        ("#iffy", False),
        ('{"a": "#"}', False),
    ],
)
def test_what_needs_an_engine(template: str, needs: bool) -> None:
    assert mocks.needs_engine(template) is needs


@pytest.mark.parametrize(
    ("response", "reason"),
    [
        ({"responseTemplates": {"a/a": "$x"}}, Reason.NOT_IMPLEMENTED),
        ({"responseParameters": {"method.response.header.a": "context.x"}}, Reason.NOT_IMPLEMENTED),
        (
            {"responseParameters": {"method.response.header.a": "integration.response.header.a"}},
            Reason.NOT_IMPLEMENTED,
        ),
        (
            {"responseParameters": {"method.response.header.a": "stageVariables.a"}},
            Reason.NOT_IMPLEMENTED,
        ),
        ({"responseParameters": {"method.response.header.a": "a"}}, Reason.INVALID_MAPPING),
        ({"responseParameters": {"method.response.header.a": "'\r\n'"}}, Reason.INVALID_MAPPING),
        ({"responseParameters": {"header.a": "'a'"}}, Reason.INVALID_MAPPING),
        ({"responseParameters": {"method.response.header.a:b": "'a'"}}, Reason.INVALID_MAPPING),
    ],
)
def test_responses_that_break_the_route(response: dict[str, Any], reason: Reason) -> None:
    found, problems = built(requestTemplates={"a/a": OK}, responses={"default": response})
    assert isinstance(found, Broken)
    assert problems == [reason]
