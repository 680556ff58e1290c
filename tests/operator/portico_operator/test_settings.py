"""Settings: from arguments and environment, or a sentence."""

from __future__ import annotations

import pytest

from portico_operator.settings import DataPlane, read


def test_defaults_and_the_pods_own_names() -> None:
    settings = read([], {"POD_NAME": "pod-1", "POD_NAMESPACE": "gateway", "PORTICO_LOG": "WARNING"})
    assert settings.namespace == "gateway"
    assert settings.identity.startswith("pod-1_")
    assert settings.log == "warning"
    assert settings.watch_namespaces == ()


def test_two_lives_of_a_pod_are_two_identities() -> None:
    assert read([], {"POD_NAME": "p"}).identity != read([], {"POD_NAME": "p"}).identity


def test_arguments() -> None:
    settings = read(
        (
            "--watch-namespace b --watch-namespace=a --watch-namespace=b "
            "--stream-port=1 --admin-port=2 --lease-seconds=10"
        ).split(),
        {},
    )
    assert settings.watch_namespaces == ("b", "a")
    assert (settings.stream_port, settings.admin_port) == (1, 2)
    assert settings.terms.duration == 10
    assert settings.terms.margin < settings.terms.duration / 2


def test_how_long_a_new_leader_hears_pods_out() -> None:
    assert read([], {}).patience == 5
    assert read(["--patience-seconds=0"], {}).patience == 0
    assert read(["--patience-seconds", "7.5"], {}).patience == 7.5


def test_data_planes() -> None:
    assert read([], {}).data_planes == (DataPlane("portico", "portico-dataplane"),)
    given = ["--data-plane=public=edge-dataplane", "--data-plane", "internal=edge-internal"]
    assert read([*given, given[0]], {}).data_planes == (
        DataPlane("public", "edge-dataplane"),
        DataPlane("internal", "edge-internal"),
    )


@pytest.mark.parametrize("second", ["public=other", "other=edge-dataplane"])
def test_a_class_has_one_data_plane_and_an_account_one_class(
    second: str, capsys: pytest.CaptureFixture[str]
) -> None:
    with pytest.raises(SystemExit):
        read(["--data-plane=public=edge-dataplane", f"--data-plane={second}"], {})
    assert "twice" in capsys.readouterr().err


@pytest.mark.parametrize(
    "arguments",
    [
        ["--stream-port=x"],
        ["--admin-port=70000"],
        ["--lease-seconds=0"],
        ["--patience-seconds=-1"],
        ["--patience-seconds=soon"],
        ["--what"],
        ["--log=loud"],
        ["--data-plane=public"],
        ["--data-plane=public="],
        ["--data-plane==x"],
    ],
)
def test_wrong_usage(arguments: list[str], capsys: pytest.CaptureFixture[str]) -> None:
    with pytest.raises(SystemExit) as ended:
        read(arguments, {})
    assert ended.value.code == 2
    said = capsys.readouterr().err
    assert said.startswith("python -m portico_operator: ")
    assert said.count("\n") == 1
