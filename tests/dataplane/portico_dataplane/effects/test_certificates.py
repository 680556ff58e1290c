"""Contexts by name: chosen, made late, bounded, and broken one by one; keys never in a file."""

from __future__ import annotations

import os
import ssl
import subprocess
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest

from pki import Authority, Pair
from portico_dataplane.core.domains import Domain, Domains
from portico_dataplane.effects import certificates
from portico_dataplane.effects.certificates import (
    CertificateStore,
    FileCertificate,
    Refused,
    Unreadable,
    Unusable,
    server_context,
)
from portico_ir.domains import DomainUnit, MutualTls, TlsPolicy
from secure_engine import domain

CA = Authority()
A, B = "a.example.com", "b.example.com"
PAIR = CA.server(A)


def store(*units: DomainUnit, most: int = 10) -> CertificateStore:
    domains = Domains((Domain(unit), unit.hosts) for unit in units)

    def find(name: str) -> DomainUnit | None:
        found = domains.find(name)
        return found.unit if found is not None else None

    return CertificateStore(find, most=most)


def test_names_choose_contexts_and_refusals() -> None:
    of = store(
        domain(A, pair=PAIR),
        domain("*.example.com", pair=CA.server("*.example.com")),
        domain("broken.test", pair=PAIR, broken="the Secret is gone"),
        domain("bare.test"),
    )
    assert isinstance(of.choose(A), ssl.SSLContext)
    assert of.choose(B) is of.choose("deep.c.example.com") is not of.choose(A)
    assert of.choose("") is Refused.NO_NAME
    assert of.choose("a.test") is Refused.UNKNOWN_NAME
    assert of.choose("broken.test") is of.choose("bare.test") is Refused.BROKEN
    assert of.failure("broken.test") == "the Secret is gone"
    assert of.failure("bare.test") == "the domain has no certificate"
    assert of.failure(A) == ""


def test_contexts_are_made_when_asked_for_and_bounded() -> None:
    units = [domain(f"{n}.test", pair=CA.server(f"{n}.test")) for n in range(4)]
    of = store(*units, most=2)
    assert of.size == 0
    first = of.choose("0.test")
    assert of.choose("0.test") is first
    of.choose("1.test")
    of.choose("0.test")
    of.choose("2.test")  # 1.test was not asked for longest
    assert of.size == 2
    assert of.choose("0.test") is first


def test_a_context_lasts_as_long_as_what_it_is_made_of() -> None:
    unit = domain(A, pair=PAIR)
    current = [unit]
    of = CertificateStore(lambda name: current[0])
    first = of.choose(A)
    current[0] = domain(A, pair=PAIR, redirect=True)  # nothing of TLS
    assert of.choose(A) is first
    current[0] = domain(A, pair=CA.server(A))
    assert of.choose(A) is not first
    current[0] = domain(A, pair=PAIR, policy=TlsPolicy(minimum="1.3"))
    assert of.choose(A) is not first


def test_what_cannot_be_made_is_not_tried_each_time(monkeypatch: pytest.MonkeyPatch) -> None:
    of = store(domain(A, pair=PAIR._replace(key=CA.server(B).key)), domain(B, pair=CA.server(B)))
    assert of.choose(A) is Refused.BROKEN
    assert of.failure(A) == "certificate and key: key values mismatch"
    with monkeypatch.context() as patch:
        patch.delattr(certificates, "server_context")
        assert of.choose(A) is Refused.BROKEN
    assert isinstance(of.choose(B), ssl.SSLContext)


@pytest.mark.parametrize(
    ("pair", "policy", "mutual", "reason"),
    [
        (PAIR._replace(chain="nonsense"), None, None, "certificate and key: no PEM"),
        (PAIR._replace(key=""), None, None, "certificate and key: no PEM"),
        (PAIR._replace(chain=PAIR.chain[:200]), None, None, "certificate and key: no PEM"),
        (PAIR, TlsPolicy(ciphers=("NONE-SUCH",)), None, "ciphers: none of them is known"),
        (PAIR, None, "nonsense", "truststore: no PEM"),
        (PAIR, None, "", "truststore: no PEM"),
    ],
)
def test_what_is_wrong_is_said(
    pair: Pair, policy: TlsPolicy | None, mutual: str | None, reason: str
) -> None:
    authorities = MutualTls(authorities=mutual) if mutual is not None else None
    with pytest.raises(Unusable, match=f"^{reason}"):
        server_context(pair.contract(), policy or TlsPolicy(), authorities)


def test_a_locked_key_is_refused_and_nobody_is_asked_for_its_password(tmp_path: Path) -> None:
    _, key = PAIR.files(tmp_path, "a")
    command = ["openssl", "pkcs8", "-topk8", "-in", str(key), "-passout", "pass:secret"]
    locked = subprocess.run(command, capture_output=True, text=True, check=True).stdout
    with pytest.raises(Unusable, match="no key without a password"):
        server_context(PAIR._replace(key=locked).contract())


def test_policies() -> None:
    modern = server_context(PAIR.contract(), TlsPolicy(minimum="1.3"))
    assert modern.minimum_version is ssl.TLSVersion.TLSv1_3
    assert modern.verify_mode is ssl.CERT_NONE
    chosen = TlsPolicy(ciphers=("ECDHE-ECDSA-AES128-GCM-SHA256",))
    of_1_2 = [
        cipher["name"]
        for cipher in server_context(PAIR.contract(), chosen).get_ciphers()
        if cipher["protocol"] == "TLSv1.2"
    ]
    assert of_1_2 == ["ECDHE-ECDSA-AES128-GCM-SHA256"]
    mutual = server_context(PAIR.contract(), mutual=MutualTls(authorities=CA.pem))
    assert mutual.verify_mode is ssl.CERT_REQUIRED
    assert mutual.options & ssl.OP_NO_TICKET
    assert mutual.num_tickets == 0


@pytest.mark.filterwarnings("ignore:ssl.TLSVersion.TLSv1 is deprecated")
def test_the_oldest_policy_speaks_tls_1_0_and_others_do_not() -> None:
    def speaks(policy: TlsPolicy) -> bool:
        server = server_context(PAIR.contract(), policy)
        client = ssl.SSLContext(ssl.PROTOCOL_TLS_CLIENT)
        client.check_hostname, client.verify_mode = False, ssl.CERT_NONE
        client.set_ciphers("ALL:@SECLEVEL=0")
        client.minimum_version = client.maximum_version = ssl.TLSVersion.TLSv1
        ends = ssl.MemoryBIO(), ssl.MemoryBIO()
        one = client.wrap_bio(ends[0], ends[1])
        two = server.wrap_bio(ends[1], ends[0], server_side=True)
        try:
            for _ in range(4):
                for end in (one, two):
                    with _waiting():
                        end.do_handshake()
        except ssl.SSLError:
            return False
        return two.version() == "TLSv1"

    assert speaks(TlsPolicy(minimum="1.0"))
    assert not speaks(TlsPolicy())


@contextmanager
def _waiting() -> Iterator[None]:
    try:
        yield
    except ssl.SSLWantReadError:
        pass


def test_a_key_is_in_no_file(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    monkeypatch.setenv("TMPDIR", str(tmp_path))
    monkeypatch.chdir(tmp_path)
    paths: list[str] = []
    load = ssl.SSLContext.load_cert_chain

    def spy(self: ssl.SSLContext, path: str, **more: object) -> None:
        paths.append(path)
        assert not list(tmp_path.iterdir())
        load(self, path, **more)  # type: ignore[arg-type]

    monkeypatch.setattr(ssl.SSLContext, "load_cert_chain", spy)
    server_context(PAIR.contract())
    assert len(paths) == 1
    assert paths[0].startswith("/proc/self/fd/")


def test_where_memory_has_no_name_the_file_is_ours_alone_and_gone_at_once(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    monkeypatch.delattr(os, "memfd_create")
    monkeypatch.setattr(tempfile, "tempdir", str(tmp_path))
    modes: list[int] = []
    load = ssl.SSLContext.load_cert_chain

    def spy(self: ssl.SSLContext, path: str, **more: object) -> None:
        modes.append(os.stat(path).st_mode & 0o777)
        modes.append(os.stat(os.path.dirname(path)).st_mode & 0o777)
        load(self, path, **more)  # type: ignore[arg-type]

    monkeypatch.setattr(ssl.SSLContext, "load_cert_chain", spy)
    server_context(PAIR.contract())
    assert modes == [0o600, 0o700]
    assert not list(tmp_path.iterdir())


def test_no_descriptor_is_left(tmp_path: Path) -> None:
    before = len(os.listdir("/proc/self/fd"))
    for _ in range(5):
        server_context(PAIR.contract())
        with pytest.raises(Unusable):
            server_context(PAIR._replace(key="").contract())
    assert len(os.listdir("/proc/self/fd")) == before


def test_files_are_read_again_when_they_change(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(certificates, "_RETRY_S", 0.0)
    certificate, key = PAIR.files(tmp_path, "default")
    source = FileCertificate(str(certificate), str(key))
    first = source.certificate("")
    assert first is not None
    assert first.chain == PAIR.chain
    assert source.certificate("any") is first
    certificate.write_text("half")
    os.utime(certificate, (1, 1))
    assert source.certificate("") is first, "the last good one serves on"
    new = CA.server(B)
    new.files(tmp_path, "default")
    os.utime(certificate, (2, 2))
    second = source.certificate("")
    assert second is not None
    assert second.chain == new.chain
    certificate.unlink()
    assert source.certificate("") is second


def test_files_that_hold_no_certificate_are_named(tmp_path: Path) -> None:
    certificate, key = PAIR.files(tmp_path, "a")
    with pytest.raises(Unreadable, match="nowhere: No such file"):
        FileCertificate("nowhere", str(key)).read()
    key.write_text("nonsense")
    with pytest.raises(Unreadable, match=r"a\.crt and .*a\.key: certificate and key: no PEM"):
        FileCertificate(str(certificate), str(key)).read()
    assert FileCertificate(str(certificate), str(key)).certificate("") is None
