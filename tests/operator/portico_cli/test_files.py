"""Which files paths lead to, and what is a Problem about them."""

from __future__ import annotations

import io
import os
import subprocess
from pathlib import Path

import pytest

from portico_cli.files import Files, backends_beside, find, missing
from portico_compiler.problems import ObjectRef, Problem, Reason, Source

ROUTE = "apiVersion: portico.dev/v1alpha1\nkind: Route\nmetadata: {name: r}\nspec: {}\n"


def write(path: Path, text: str = ROUTE) -> Path:
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text(text)
    return path


def names(paths: list[str], folder: Path) -> list[str]:
    return [os.path.relpath(file, folder) for file in find(paths).files]


def only_problem(paths: list[Path]) -> Problem:
    (problem,) = Files().load([str(path) for path in paths]).problems
    return problem


def test_folders_are_searched_to_the_bottom_in_the_order_of_names(tmp_path: Path) -> None:
    for name in ("b.yaml", "a/z.yml", "a/c/d.json", "a.yaml", "b/a.yaml"):
        write(tmp_path / name, "{}")
    assert names([str(tmp_path)], tmp_path) == [
        "a/c/d.json",
        "a/z.yml",
        "a.yaml",
        "b/a.yaml",
        "b.yaml",
    ]


def test_the_order_of_paths_is_kept_and_a_file_counts_once(tmp_path: Path) -> None:
    second, first = write(tmp_path / "a.yaml"), write(tmp_path / "z.yaml")
    (tmp_path / "link.yaml").symlink_to(second)
    paths = [str(first), str(tmp_path), str(second), f"{tmp_path}/./a.yaml"]
    assert names(paths, tmp_path) == ["z.yaml", "a.yaml"]


def test_what_is_no_manifest_is_left_alone(tmp_path: Path) -> None:
    write(tmp_path / "portico.dev.yaml", "services: {}")
    for name in ("README.md", "a.txt", ".hidden.yaml", ".git/x.yaml", "Makefile", "a.yaml~"):
        write(tmp_path / name, "x: [")
    os.mkfifo(tmp_path / "pipe.yaml")
    found = find([str(tmp_path)])
    assert (found.files, found.problems) == ({}, [])
    assert found.backends == [str(tmp_path / "portico.dev.yaml")]


def test_a_file_that_is_named_may_have_any_name(tmp_path: Path) -> None:
    manifest = write(tmp_path / "manifest.txt")
    write(tmp_path / "portico.dev.yaml", "services: {}")
    found = find([str(manifest)])
    assert list(found.files) == [str(manifest)]
    assert found.backends == [str(tmp_path / "portico.dev.yaml")]


@pytest.mark.parametrize("target", [".", "..", "../..", "../../../top"])
def test_a_directory_loop_is_a_problem(tmp_path: Path, target: str) -> None:
    """Found once, and what is not in the loop is read."""
    write(tmp_path / "top/a/b/r.yaml")
    (tmp_path / "top/a/b/loop").symlink_to(target)
    loaded = Files().load([str(tmp_path / "top")])
    assert [document.file for document in loaded.documents] == [str(tmp_path / "top/a/b/r.yaml")]
    assert [problem.reason for problem in loaded.problems] == [Reason.MALFORMED_DOCUMENT]
    assert "directory loop" in loaded.problems[0].message
    assert loaded.problems[0].source is not None
    assert "loop" in loaded.problems[0].source.file


def test_a_link_to_itself_is_a_problem(tmp_path: Path) -> None:
    (tmp_path / "self").symlink_to("self")
    problem = only_problem([tmp_path])
    assert problem.source == Source(str(tmp_path / "self"))
    assert "symbolic links" in problem.message


def test_two_ways_into_one_folder_are_no_loop(tmp_path: Path) -> None:
    """Diamonds of links would otherwise double at each level."""
    folder = tmp_path / "f0"
    write(folder / "r.yaml")
    for level in range(1, 30):
        above = tmp_path / f"f{level}"
        above.mkdir()
        for side in ("left", "right"):
            (above / side).symlink_to(tmp_path / f"f{level - 1}")
    loaded = Files().load([str(tmp_path / "f29")])
    assert (len(loaded.documents), loaded.problems) == (1, [])


def test_folders_may_be_deeper_than_python_s_stack(tmp_path: Path) -> None:
    depth = 1200
    here = os.getcwd()
    os.chdir(tmp_path)
    try:
        for _ in range(depth):
            os.mkdir("d")
            os.chdir("d")
        Path("r.yaml").write_text(ROUTE)
        os.chdir(tmp_path)
        found = find(["."])
        assert (len(found.files), found.problems) == (1, [])
    finally:
        os.chdir(here)
        # pytest's own clean-up recurses.
        subprocess.run(["rm", "-rf", str(tmp_path / "d")], check=True)


def test_a_link_to_nowhere_is_a_problem(tmp_path: Path) -> None:
    (tmp_path / "gone.yaml").symlink_to("nowhere")
    assert only_problem([tmp_path]).source == Source(str(tmp_path / "gone.yaml"))


def test_a_path_that_is_not_there(tmp_path: Path) -> None:
    assert missing([str(tmp_path), "-", str(tmp_path / "x")]) == [str(tmp_path / "x")]
    assert "No such file" in only_problem([tmp_path / "x"]).message


@pytest.mark.skipif(os.geteuid() == 0, reason="root reads everything")
def test_a_file_that_may_not_be_read(tmp_path: Path) -> None:
    write(tmp_path / "a.yaml").chmod(0)
    assert "Permission denied" in only_problem([tmp_path]).message


def test_bytes_that_are_not_text(tmp_path: Path) -> None:
    (tmp_path / "a.yaml").write_bytes(b"a: 1\nb: \xff\xfe\n")
    problem = only_problem([tmp_path])
    assert problem.source == Source(str(tmp_path / "a.yaml"), 0, 2)
    assert "UTF-8" in problem.message


def test_documents_say_where_they_stand(tmp_path: Path) -> None:
    file = write(tmp_path / "a.yaml", "# c\na: 1\n---\n---\n\nb: 2\n")
    loaded = Files().load([str(file)])
    assert [(d.raw, d.index, d.line) for d in loaded.documents] == [
        ({"a": 1}, 0, 2),
        ({"b": 2}, 1, 6),
    ]


def test_a_fault_names_file_line_object_and_field(tmp_path: Path) -> None:
    file = write(tmp_path / "a.yaml", "x: 1\n---\n" + ROUTE + "spec:\n  a: 1\n")
    problem = only_problem([file])
    assert problem == Problem(
        ObjectRef("Route", "default", "r"),
        "spec",
        Reason.MALFORMED_DOCUMENT,
        'the key "spec" appears twice in one object',
        source=Source(str(file), 1, 7),
    )


def test_standard_input_is_read_once() -> None:
    files = Files(io.BytesIO(b"a: 1\n"))
    for _ in range(2):
        (document,) = files.load(["-"]).documents
        assert (document.raw, document.file) == ({"a": 1}, "stdin")
    problem = Problem(
        ObjectRef("", "", ""), "a", Reason.UNKNOWN_FIELD, "", source=Source("stdin", 0, 1)
    )
    assert files.line_of(problem) == 1


def test_only_changed_files_are_parsed_again(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    first, second = write(tmp_path / "a.yaml", "a: 1"), write(tmp_path / "b.yaml", "b: 1")
    files = Files()
    files.load([str(tmp_path)])
    parsed: list[str] = []
    original = Files._text

    def noting(self: Files, file: str) -> str:
        parsed.append(file)
        return original(self, file)

    monkeypatch.setattr(Files, "_text", noting)
    second.write_text("b: 22")
    assert [d.raw for d in files.load([str(tmp_path)]).documents] == [{"a": 1}, {"b": 22}]
    assert parsed == [str(second)]
    first.unlink()
    assert [d.raw for d in files.load([str(tmp_path)]).documents] == [{"b": 22}]


def test_lines_of_problems(tmp_path: Path) -> None:
    file = write(tmp_path / "a.yaml", "a: 1\n---\nspec:\n  x:\n    y: 1\n")
    files = Files()
    files.load([str(file)])
    problem = Problem(
        ObjectRef("Route", "default", "r"),
        "spec.x.y",
        Reason.INVALID_VALUE,
        "",
        source=Source(str(file), 1, 3),
    )
    assert files.line_of(problem) == 5
    assert files.line_of(problem._replace(field="")) == 3
    assert files.line_of(problem._replace(source=None)) is None
    file.unlink()
    files.load([])
    assert files.line_of(problem) == 3


def test_where_services_are_is_found_beside_the_manifests(tmp_path: Path) -> None:
    beside = write(tmp_path / "portico.dev.yaml", "services: {}")
    write(tmp_path / "manifests/a.yaml")
    folder = str(tmp_path / "manifests")
    assert backends_beside([folder], find([folder])) == [beside]
    within = write(tmp_path / "manifests/portico.dev.yaml", "services: {}")
    assert backends_beside([folder], find([folder])) == [within]


def test_a_pipe_is_read_once_too(tmp_path: Path) -> None:
    """As a shell's `<(…)` makes one; the line of a field needs the text again."""
    reader, writer = os.pipe()
    os.write(writer, b"a: 1\n---\nspec:\n  x: 1\n")
    os.close(writer)
    path = f"/dev/fd/{reader}"
    files = Files()
    try:
        for _ in range(2):
            assert len(files.load([path]).documents) == 2
        source = Source(path, 1, 3)
        problem = Problem(ObjectRef("", "", ""), "spec.x", Reason.UNKNOWN_FIELD, "", source=source)
        assert files.line_of(problem) == 4
    finally:
        os.close(reader)
