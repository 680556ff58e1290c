"""What the pages say is true: their manifests are accepted, their commands and names exist."""

from __future__ import annotations

import re
from pathlib import Path

import aiohttp
import pytest

from dev_process import DevProcess
from portico_cli.backends import parse
from portico_cli.configuration import Loader
from portico_cli.main import main
from portico_compiler.world import Settings
from portico_dataplane.core.context import compile_format

ROOT = Path(__file__).parents[2]
PAGES = [ROOT / "README.md", *sorted((ROOT / "docs").glob("*.md"))]
FENCE = re.compile(r"^```(\w*)\n(.*?)^```$", re.MULTILINE | re.DOTALL)
LINK = re.compile(r"\]\((?!https?:)([^)#]+)\)")

CLUSTER_ONLY = {
    ("ApiDeployment", "Capturing"),
    ("ApiDeployment", "RefNotFound"),
    ("Stage", "RefNotAccepted"),
    ("DomainName", "RefNotFound"),
}
"""What is said of deployments in files, because an operator takes them and holds revisions; and of
certificates, which are no part of a page."""

MOCK_WITH_METRICS = """
apiVersion: portico.dev/v1alpha1
kind: RestApi
metadata: {name: shop}
---
apiVersion: portico.dev/v1alpha1
kind: Route
metadata: {name: mock}
spec:
  apiRef: {name: shop}
  routeKey: GET /mock
  integration:
    type: MOCK
    requestTemplates: {application/json: '{"statusCode": 200}'}
    responses: {default: {}}
---
apiVersion: portico.dev/v1alpha1
kind: Stage
metadata: {name: live}
spec:
  apiRef: {name: shop}
  stageName: live
  methodSettings: {"*/*": {metricsEnabled: true}}
"""


def blocks(page: Path, language: str) -> list[str]:
    return [text for name, text in FENCE.findall(page.read_text()) if name == language]


@pytest.mark.parametrize("page", PAGES, ids=lambda page: page.name)
def test_manifests_are_accepted(page: Path, tmp_path: Path) -> None:
    """All of a page together, as a reader would put them into one folder."""
    manifests = [text for text in blocks(page, "yaml") if "apiVersion:" in text]
    (tmp_path / "page.yaml").write_text("---\n".join(manifests))
    found = Loader([str(tmp_path)]).load(Settings())
    assert [p for p in found.problems if (p.object.kind, p.reason) not in CLUSTER_ONLY] == []
    assert found.objects >= len(manifests)


@pytest.mark.parametrize("page", PAGES, ids=lambda page: page.name)
def test_backends_files_are_accepted(page: Path) -> None:
    for text in blocks(page, "yaml"):
        if text.startswith("services:"):
            assert parse(ROOT / "examples" / "portico.dev.yaml", text).faults == []


@pytest.mark.parametrize("page", PAGES, ids=lambda page: page.name)
def test_links_lead_somewhere(page: Path) -> None:
    missing = [link for link in LINK.findall(page.read_text()) if not (page.parent / link).exists()]
    assert missing == []


def test_commands_and_options_exist(capsys: pytest.CaptureFixture[str]) -> None:
    text = "\n".join(page.read_text() for page in PAGES)
    for command in set(
        re.findall(r"portico (dev|compile|validate|explain|deploy|digest|version)\b", text)
    ):
        with pytest.raises(SystemExit) as ended:
            main([command, "--help"])
        assert ended.value.code == 0
    known = set(re.findall(r"--[a-z-]+", _all_help(capsys)))
    used = {
        option
        for line in text.splitlines()
        if re.search(r"portico (dev|compile|validate|explain|deploy|digest)|^ +\[--", line)
        for option in re.findall(r"(?<![\w-])--[a-z][a-z-]*", line)
    }
    assert used - known <= {"--snapshot"}


def _all_help(capsys: pytest.CaptureFixture[str]) -> str:
    for command in ("dev", "compile", "validate", "explain", "deploy", "digest"):
        with pytest.raises(SystemExit):
            main([command, "--help"])
    return capsys.readouterr().out


def test_access_log_variables_are_known() -> None:
    """A format that names them all is not all `-` for lack of a name."""
    page = (ROOT / "docs" / "observability.md").read_text()
    listed = page.partition("Known variables: ")[2].partition(".\n\n")[0]
    names = [name.strip() for name in listed.split(",")]
    assert len(names) > 30
    source = (ROOT / "dataplane/portico_dataplane/core/context.py").read_text()
    assert [name for name in names if f'"{name}"' not in source] == []
    assert compile_format(" ".join(f"$context.{name}" for name in names)) is not None


async def test_metrics_have_the_names_that_are_listed(tmp_path: Path) -> None:
    (tmp_path / "a.yaml").write_text(MOCK_WITH_METRICS)
    page = (ROOT / "docs" / "observability.md").read_text()
    listed = page.partition("## Metrics")[2].partition("## ")[0]
    names = set(re.findall(r"`(portico_[a-z_]+[a-z])", listed))
    async with DevProcess(tmp_path) as dev, aiohttp.ClientSession() as session:
        port, admin = await dev.ports()
        async with session.get(f"http://127.0.0.1:{port}/live/mock", headers=HOST) as response:
            assert response.status == 200
        async with session.get(f"http://127.0.0.1:{admin}/metrics") as response:
            text = await response.text()
    exposed = set(re.findall(r"^([a-z_]+)", text, re.MULTILINE))
    missing = {name for name in names if not any(one.startswith(name) for one in exposed)}
    assert missing == set()
    assert "portico_route_requests_total{" in text


HOST = {"Host": "shop.default.localhost", "Content-Type": "application/json"}
