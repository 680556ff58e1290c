"""`make crds` leaves a folder with every kind and nothing stale."""

from __future__ import annotations

from pathlib import Path

from portico_cli.crds import write
from portico_compiler.crds.definition import files


def test_the_folder_is_made_and_cleared_of_what_is_no_kind(tmp_path: Path) -> None:
    folder = tmp_path / "crds"
    folder.mkdir()
    (folder / "portico.dev_olds.yaml").write_text("stale")
    (folder / "README.md").write_text("kept")
    write(folder)
    assert {file.name for file in folder.iterdir()} == {*files(), "README.md"}
    assert {name: (folder / name).read_text() for name in files()} == files()
