"""Certificates that nobody signed: for the name asked for, one each, bounded."""

from __future__ import annotations

from cryptography import x509

from portico_dataplane.effects import self_signed
from portico_dataplane.effects.certificates import server_context
from portico_dataplane.effects.self_signed import SelfSigned


def names(chain: str) -> list[str]:
    found = x509.load_pem_x509_certificate(chain.encode())
    extension = found.extensions.get_extension_for_class(x509.SubjectAlternativeName)
    return extension.value.get_values_for_type(x509.DNSName)


def test_a_name_has_a_certificate_of_its_own() -> None:
    source = SelfSigned()
    one = source.certificate("petstore.default.localhost")
    assert one is not None
    assert names(one.chain) == ["petstore.default.localhost"]
    assert source.certificate("petstore.default.localhost") is one
    nameless = source.certificate("")
    assert nameless is not None
    assert names(nameless.chain) == ["localhost"]
    server_context(one)
    assert "PRIVATE" not in repr(one)


def test_long_names_and_none() -> None:
    source = SelfSigned()
    long = ".".join(["a" * 60] * 4)
    found = source.certificate(long)
    assert found is not None
    assert names(found.chain) == [long]


def test_names_are_bounded() -> None:
    source = SelfSigned()
    first = source.certificate("first.test")
    for number in range(self_signed._MOST_NAMES):
        source.certificate(f"{number}.test")
    assert len(source._made) == self_signed._MOST_NAMES
    assert source.certificate("first.test") is not first
