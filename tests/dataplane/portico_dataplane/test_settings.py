"""A command line becomes Settings, or exits 2 with one line."""

from __future__ import annotations

import dataclasses
from pathlib import Path

import pytest

from portico_dataplane.settings import Settings, cpu_limit, parse

NEEDED = ["--snapshot", "s.json"]
FED = ["--operator", "op.portico.svc:9443", "--token-file", "t", "--ca-file", "c"]


def test_the_command_of_the_documentation() -> None:
    settings = parse([*NEEDED, "--port", "8081", "--workers", "3"], {})

    assert (settings.snapshot, settings.port, settings.workers) == ("s.json", 8081, 3)
    assert (settings.admin_host, settings.admin_port) == ("127.0.0.1", 9901)
    assert settings.log_level == "info"


def test_the_tls_port() -> None:
    assert parse(NEEDED, {}).tls_port == 8443
    assert parse([*NEEDED, "--port", "0"], {}).tls_port == 0
    assert parse([*NEEDED, "--tls-port", "443"], {}).tls_port == 443
    assert parse([*NEEDED, "--port", "0", "--tls-port", "444"], {}).tls_port == 444
    for off in ("off", ""):
        assert parse([*NEEDED, "--tls-port", off], {}).tls_port is None
    files = parse([*NEEDED, "--tls-certificate", "c", "--tls-key", "k", "--proxy-protocol"], {})
    assert (files.tls_certificate, files.tls_key, files.proxy_protocol) == ("c", "k", True)


def test_every_option_has_a_place() -> None:
    settings = parse(
        [
            *NEEDED,
            *("--host", "10.0.0.1", "--admin-host", "0.0.0.0", "--admin-port", "0"),
            *("--admin-socket", "/run/portico.sock", "--drain-delay", "0.5"),
            *("--drain-seconds", "7", "--access-log", "off", "--max-label-sets", "9"),
        ],
        {"PORTICO_LOG": "DEBUG"},
    )

    assert settings.host == "10.0.0.1"
    assert (settings.admin_host, settings.admin_port) == ("0.0.0.0", 0)
    assert settings.admin_socket == "/run/portico.sock"
    assert (settings.drain_delay_s, settings.drain_seconds) == (0.5, 7.0)
    assert (settings.access_log, settings.max_label_sets) == ("off", 9)
    assert settings.log_level == "debug"


@pytest.mark.parametrize(
    ("argv", "environ", "said"),
    [
        ([], {}, "--snapshot"),
        ([*NEEDED, "--port", "65536"], {}, "'65536' is not a port"),
        ([*NEEDED, "--port", "-1"], {}, "'-1' is not a port"),
        ([*NEEDED, "--port", "http"], {}, "'http' is not a port"),
        ([*NEEDED, "--port", "²"], {}, "'²' is not a port"),
        ([*NEEDED, "--workers", "0"], {}, "'0' is not a positive whole number"),
        ([*NEEDED, "--workers", "1.5"], {}, "'1.5' is not a positive whole number"),
        ([*NEEDED, "--workers", "513"], {}, "at most 512"),
        ([*NEEDED, "--drain-delay", "-1"], {}, "is not a number of seconds"),
        ([*NEEDED, "--drain-seconds", "nan"], {}, "is not a number of seconds"),
        ([*NEEDED, "--drain-seconds", "soon"], {}, "is not a number of seconds"),
        ([*NEEDED, "--access-log", "all"], {}, "--access-log"),
        ([*NEEDED, "--port", "8080", "--admin-port", "8080"], {}, "must differ"),
        ([*NEEDED, "--tls-port", "none"], {}, "'none' is not a port"),
        ([*NEEDED, "--tls-port", "8080"], {}, "must differ"),
        ([*NEEDED, "--tls-port", "9901"], {}, "must differ"),
        ([*NEEDED, "--port", "8443"], {}, "--tls-port must differ from the other ports, not 8443"),
        ([*NEEDED, "--tls-key", "k"], {}, "go together"),
        ([*NEEDED, "--snap", "x"], {}, "unrecognized arguments"),
        ([*NEEDED, "stray"], {}, "unrecognized arguments"),
        ([*NEEDED, *FED], {}, "not allowed with"),
        (["--operator", "op:9443"], {}, "needs --token-file and --ca-file"),
        (["--operator", "op"], {}, "'op' is not HOST:PORT"),
        (["--operator", "op:0"], {}, "'op:0' is not HOST:PORT"),
        (["--operator", "fd00::1:80"], {}, "is not HOST:PORT"),
        (["--operator", "op:http"], {}, "'http' is not a port"),
        ([*FED, "--last-good-after", "soon"], {}, "is not a number of seconds"),
        (NEEDED, {"PORTICO_LOG": "loud"}, "PORTICO_LOG must be one of debug, info"),
    ],
)
def test_wrong_usage_exits_2(
    argv: list[str], environ: dict[str, str], said: str, capsys: pytest.CaptureFixture[str]
) -> None:
    with pytest.raises(SystemExit) as exit_:
        parse(argv, environ)

    assert exit_.value.code == 2
    assert said in capsys.readouterr().err


def test_an_operator_instead_of_a_file() -> None:
    settings = parse([*FED, "--operator", "[fd00::1]:1", "--last-good", "d"], {})
    assert settings.snapshot == ""
    assert settings.operators == ("op.portico.svc:9443", "[fd00::1]:1")
    assert (settings.token_file, settings.ca_file, settings.last_good) == ("t", "c", "d")
    assert (settings.last_good_after_s, settings.fallback_after_s) == (15.0, 10.0)
    waits = parse([*FED, "--last-good-after", "1", "--fallback-after", "2"], {})
    assert (waits.last_good_after_s, waits.fallback_after_s) == (1.0, 2.0)


def test_both_ports_may_be_left_to_the_system() -> None:
    assert parse([*NEEDED, "--port", "0", "--admin-port", "0"], {}).port == 0


def quota_of(folder: Path, version: int, text: str) -> Path:
    """A cgroup file system of either version that says this."""
    if version == 2:
        (folder / "cpu.max").write_text(text)
    else:
        (folder / "cpu").mkdir()
        words = (*text.replace("max", "-1").split(" ", 1), "")
        (folder / "cpu" / "cpu.cfs_quota_us").write_text(f"{words[0]}\n")
        (folder / "cpu" / "cpu.cfs_period_us").write_text(words[1])
    return folder


@pytest.mark.parametrize("version", [1, 2])
@pytest.mark.parametrize(
    ("text", "most"), [("150000 100000\n", 2), ("50000 100000\n", 1), ("100 100000\n", 1)]
)
def test_the_cpu_limit_is_the_containers_quota_rounded_up(
    tmp_path: Path, version: int, text: str, most: int
) -> None:
    assert 1 <= cpu_limit(quota_of(tmp_path, version, text)) <= most


@pytest.mark.parametrize("version", [1, 2])
@pytest.mark.parametrize("text", ["max 100000\n", "", "what is this\n", "100000 0\n"])
def test_without_a_quota_affinity_counts(tmp_path: Path, version: int, text: str) -> None:
    assert cpu_limit(quota_of(tmp_path, version, text)) == cpu_limit(tmp_path / "absent")


def test_settings_cannot_change() -> None:
    with pytest.raises(dataclasses.FrozenInstanceError):
        Settings().port = 1  # type: ignore[misc]
