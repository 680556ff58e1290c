"""All commands see the same files, Services and Problems."""

from __future__ import annotations

from pathlib import Path

import msgspec

from portico_cli.configuration import Configuration, Loader
from portico_compiler.problems import Reason
from portico_compiler.world import Settings
from portico_ir import codec
from portico_ir.model import Endpoint, SignersUnit

HEAD = "apiVersion: portico.dev/v1alpha1\nkind: "
API = HEAD + "RestApi\nmetadata: {name: shop}\n"
ROUTE = (
    HEAD
    + "Route\nmetadata: {name: r}\nspec:\n  apiRef: {name: shop}\n  routeKey: GET /r\n"
    + "  integration: {service: {name: pets, port: 80}}\n"
)
SERVICE = "apiVersion: v1\nkind: Service\nmetadata: {name: pets}\nspec: {ports: [{port: 80}]}\n"
ALL = f"{API}---\n{ROUTE}---\n{SERVICE}"
BACKENDS = "services:\n  default/pets: {url: 'http://127.0.0.1:9001'}\n"


def load(folder: Path, *, backends: str | None = None, secrets: bool = True) -> Configuration:
    return Loader([str(folder)], backends).load(Settings(), secrets=secrets)


def test_services_are_where_the_backends_file_says(tmp_path: Path) -> None:
    (tmp_path / "a.yaml").write_text(ALL)
    (tmp_path / "portico.dev.yaml").write_text(BACKENDS)
    found = load(tmp_path)
    assert (found.problems, found.objects) == ([], 3)
    assert [api.name for api in found.apis] == ["shop"]
    upstreams = found.compiled.snapshot.endpoints.upstreams
    assert upstreams == {"default/pets:80": (Endpoint(host="127.0.0.1", port=9001),)}


def test_a_backends_file_may_be_named(tmp_path: Path) -> None:
    (tmp_path / "a.yaml").write_text(ALL)
    (tmp_path / "portico.dev.yaml").write_text("nonsense: 1\n")
    other = tmp_path / "other.txt"
    other.write_text(BACKENDS.replace("127.0.0.1:9001", "[::1]:7"))
    found = load(tmp_path, backends=str(other))
    assert found.problems == []
    upstreams = found.compiled.snapshot.endpoints.upstreams
    assert upstreams == {"default/pets:80": (Endpoint(host="::1", port=7),)}


def test_mistakes_in_the_backends_file_are_problems(tmp_path: Path) -> None:
    (tmp_path / "a.yaml").write_text(API)
    (tmp_path / "portico.dev.yaml").write_text("services:\n  default/pets: {}\n")
    found = load(tmp_path)
    assert [(p.field, p.reason) for p in found.unreadable] == [
        ("services.default/pets.url", Reason.MALFORMED_DOCUMENT)
    ]
    assert found.problems[0].source is not None
    assert found.problems[0].source.line == 2


def test_two_files_that_name_one_service(tmp_path: Path) -> None:
    for name in ("a", "b"):
        (tmp_path / name).mkdir()
        (tmp_path / name / "portico.dev.yaml").write_text(BACKENDS)
    assert ["already" in problem.message for problem in load(tmp_path).unreadable] == [True]


def test_bytes_that_are_no_text(tmp_path: Path) -> None:
    (tmp_path / "portico.dev.yaml").write_bytes(b"\xff")
    assert "UTF-8" in load(tmp_path).unreadable[0].message


def test_a_fault_in_one_document_is_no_noise_about_others(tmp_path: Path) -> None:
    """The API says a key twice; its Route is not dangling for that."""
    (tmp_path / "a.yaml").write_text(API + "spec: {}\nspec: {}\n---\n" + ROUTE + "---\n" + SERVICE)
    found = load(tmp_path)
    assert found.problems == found.unreadable
    assert len(found.problems) == 1


def test_problems_come_in_the_order_of_files(tmp_path: Path) -> None:
    (tmp_path / "a.yaml").write_text(ROUTE)
    (tmp_path / "b.yaml").write_text("kind: [")
    (tmp_path / "c.yaml").write_text("kind: Nope\n")
    found = load(tmp_path)
    files = [Path(p.source.file).name for p in found.problems if p.source is not None]
    assert files == sorted(files)
    assert set(files) == {"a.yaml", "b.yaml", "c.yaml"}
    assert len(found.errors) == len(found.problems)


def test_a_second_load_gives_the_same_bytes(tmp_path: Path) -> None:
    (tmp_path / "a.yaml").write_text(ALL)
    loader = Loader([str(tmp_path)])
    first, second = (loader.load(Settings()).compiled.snapshot for _ in range(2))
    assert msgspec.json.encode(first) == msgspec.json.encode(second)


def test_what_follows_from_secrets_is_left_out_on_request(tmp_path: Path) -> None:
    """Of API keys only digests are written in any case."""
    (tmp_path / "a.yaml").write_text(
        "apiVersion: v1\nkind: Secret\nmetadata: {name: s}\nstringData:\n"
        "  accessKeyId: AKIAIOSFODNN7EXAMPLE\n  secretAccessKey: quiet\n---\n"
        "apiVersion: portico.dev/v1alpha1\nkind: IamUser\nmetadata: {name: u}\n"
        "spec: {accessKeys: [{secretRef: {name: s}}]}\n"
    )
    for secrets, days in ((True, 9), (False, 0)):
        found = load(tmp_path, secrets=secrets)
        assert not found.problems
        unit = codec.decode_unit(found.compiled.snapshot.units["signers"])
        assert isinstance(unit, SignersUnit)
        assert len(unit.signers["AKIAIOSFODNN7EXAMPLE"].keys) == days
        assert b"quiet" not in codec.encode(found.compiled.snapshot)
