"""The authority: what is due when, and that no pod meets a certificate it cannot know."""

from __future__ import annotations

import datetime as dt
import ssl

import pytest
from cryptography import x509

from portico_ir.secrets import Redacted
from portico_operator.delivery.authority import (
    BUNDLE_FIRST,
    CA_LIFE,
    CA_ROTATES,
    RETIRES,
    SERVING_RENEWS,
    Authority,
    Conflict,
    Custodian,
    Serving,
    Stored,
    after,
    bundle_of,
    make_authority,
    make_serving,
    needs_serving,
    next_step,
)

START = dt.datetime(2026, 1, 1, tzinfo=dt.UTC)
MINUTE = dt.timedelta(minutes=1)


class Clock:
    now = START

    def __call__(self) -> dt.datetime:
        return self.now


class Vault:
    """One Secret and one ConfigMap; a write may be cut off between them."""

    def __init__(self) -> None:
        self.stored = Stored(version="1")
        self.bundles: list[str] = []
        self.cut = False

    async def read(self) -> Stored:
        return self.stored

    async def write(self, stored: Stored) -> Stored:
        if stored.version != self.stored.version:
            raise Conflict
        bundle = self.stored.bundle if self.cut else stored.bundle
        self.stored = stored._replace(version=str(int(stored.version) + 1), bundle=bundle)
        self.bundles.append(bundle)
        return self.stored


def fake(now: dt.datetime) -> Authority:
    return Authority(f"<made {now:%Y-%m-%d %H:%M}>", Redacted("key"), now, now + CA_LIFE)


def test_empty_objects_get_an_authority_at_once() -> None:
    stored = Stored(version="7")
    assert next_step(stored, START) == "make"
    made = after("make", stored, START, fake)
    assert made.current is not None
    assert (made.bundle, made.version) == (made.current.certificate, "7")
    assert next_step(made, START) == "nothing"


def test_a_whole_rotation_keeps_every_certificate_in_use_in_the_bundle() -> None:
    """Minute by minute over two years, with bundles that pods see two minutes late."""
    stored, now = Stored(), START
    seen_by_pods = [""] * 3
    steps: list[str] = []
    while now < START + dt.timedelta(days=730):
        step = next_step(stored, now)
        if step != "nothing":
            steps.append(step)
            stored = after(step, stored, now, fake)
        seen_by_pods = [*seen_by_pods[1:], stored.bundle]
        assert stored.current is not None
        if len(steps) > 1:
            assert stored.current.certificate in seen_by_pods[0]
        assert stored.current.expires_at > now
        # Nothing happens in most of the time: only minutes after a step are looked at one by one.
        busy = stored.successor is not None or steps[-1:] == ["promote"] or now < START + 5 * MINUTE
        now += MINUTE if busy else dt.timedelta(hours=1)
        if not busy:
            seen_by_pods = [stored.bundle] * 3
    assert steps == ["make", *["succeed", "promote", "retire"] * 3]


def test_the_bundle_comes_ten_minutes_before_the_certificate() -> None:
    stored = after("make", Stored(), START, fake)
    later = START + CA_ROTATES
    assert next_step(stored, later - MINUTE) == "nothing"
    assert next_step(stored, later) == "succeed"
    both = after("succeed", stored, later, fake)
    assert both.current == stored.current
    assert both.successor is not None
    assert both.successor.certificate in both.bundle
    assert next_step(both, later + BUNDLE_FIRST - MINUTE) == "nothing"
    assert next_step(both, later + BUNDLE_FIRST) == "promote"
    promoted = after("promote", both, later + BUNDLE_FIRST, fake)
    assert promoted.current == both.successor
    assert stored.current is not None
    assert stored.current.certificate in promoted.bundle
    assert next_step(promoted, later + BUNDLE_FIRST + RETIRES - MINUTE) == "nothing"
    assert next_step(promoted, later + BUNDLE_FIRST + RETIRES) == "retire"
    assert after("retire", promoted, later, fake).bundle == promoted.current.certificate


def test_a_write_that_was_cut_off_is_made_good_and_the_ten_minutes_count_from_there() -> None:
    stored = after("make", Stored(), START, fake)
    later = START + CA_ROTATES
    both = after("succeed", stored, later, fake)._replace(bundle=stored.bundle)
    hour = later + dt.timedelta(hours=1)
    assert next_step(both, hour) == "publish"
    published = after("publish", both, hour, fake)
    assert published.bundle == bundle_of(published)
    assert next_step(published, hour + MINUTE) == "nothing"
    assert next_step(published, hour + BUNDLE_FIRST) == "promote"


def test_an_expired_authority_is_replaced_at_once() -> None:
    stored = after("make", Stored(), START, fake)
    assert next_step(stored, START + CA_LIFE) == "make"


async def test_the_custodian_does_one_step_at_a_time() -> None:
    vault, clock = Vault(), Clock()
    custodian = Custodian(vault, clock)
    assert [await custodian.tend(), await custodian.tend()] == ["make", "nothing"]
    vault.cut = True
    clock.now += CA_ROTATES
    assert await custodian.tend() == "succeed"
    vault.cut = False
    assert await custodian.tend() == "publish"


async def test_two_holders_cannot_both_write() -> None:
    vault = Vault()
    first = await vault.read()
    await Custodian(vault, Clock()).tend()
    with pytest.raises(Conflict):
        await vault.write(after("make", first, START, fake))


def test_a_replica_renews_when_the_authority_changes_or_time_passes() -> None:
    stored = after("make", Stored(), START, make_authority)
    assert stored.current is not None
    assert not needs_serving(Stored(), None, START)
    assert needs_serving(stored, None, START)
    serving = make_serving(stored.current, ["operator.portico.svc"], START)
    assert not needs_serving(stored, serving, START)
    assert needs_serving(stored, serving, START + SERVING_RENEWS)
    other = after("make", Stored(), START, make_authority)
    assert needs_serving(other, serving, START)


def serving(names: list[str]) -> tuple[Authority, Serving]:
    now = dt.datetime.now(dt.UTC)
    made = make_authority(now)
    return made, make_serving(made, names, now)


@pytest.mark.parametrize("name", ["operator.portico.svc", "10.1.2.3", "fd00::1"])
def test_the_certificate_is_for_its_names_and_signed_by_its_authority(name: str) -> None:
    made, certificate = serving([name])
    assert handshake(certificate, made.certificate, name)
    with pytest.raises(ssl.SSLCertVerificationError, match="mismatch"):
        handshake(certificate, made.certificate, "other.portico.svc")
    with pytest.raises(ssl.SSLCertVerificationError, match="verif"):
        handshake(certificate, serving([name])[0].certificate, name)
    # During a rotation the bundle holds both.
    assert handshake(certificate, serving([name])[0].certificate + made.certificate, name)


def test_an_authority_signs_and_a_certificate_does_not() -> None:
    made, certificate = serving(["a"])
    ca = x509.load_pem_x509_certificate(made.certificate.encode())
    leaf = x509.load_pem_x509_certificate(certificate.certificate.encode())
    leaf.verify_directly_issued_by(ca)
    assert ca.extensions.get_extension_for_class(x509.BasicConstraints).value.ca
    assert not leaf.extensions.get_extension_for_class(x509.BasicConstraints).value.ca
    assert leaf.not_valid_after_utc <= ca.not_valid_after_utc


def test_keys_do_not_show_themselves() -> None:
    made, certificate = serving(["a"])
    assert "PRIVATE" not in repr(made) + repr(certificate) + repr(Stored(current=made))


def handshake(certificate: Serving, bundle: str, name: str) -> bool:
    """A TLS handshake in memory."""
    client = ssl.SSLContext(ssl.PROTOCOL_TLS_CLIENT)
    client.load_verify_locations(cadata=bundle)
    to_server, to_client = ssl.MemoryBIO(), ssl.MemoryBIO()
    ends = [
        client.wrap_bio(to_client, to_server, server_hostname=name),
        certificate.context().wrap_bio(to_server, to_client, server_side=True),
    ]
    waiting = list(ends)
    for _ in range(10):
        for end in list(waiting):
            try:
                end.do_handshake()
                waiting.remove(end)
            except ssl.SSLWantReadError:
                pass
    return not waiting
