"""Which certificate, versions and authorities a name in a handshake stands for.

Asked by `http/handshakes.py` before each handshake, because a context cannot be changed in one
(design §13). Promises: contexts are made when first needed and bounded; one that cannot be made
refuses its own domain and no other; whatever of a domain's TLS changes makes a new context, and
connections keep theirs; no key is ever in a file that another process could open.
"""

from __future__ import annotations

import contextlib
import enum
import os
import ssl
import tempfile
import time
import warnings
from collections import OrderedDict
from collections.abc import Callable, Iterator
from typing import Final, NamedTuple, Protocol

from portico_ir.domains import Certificate, DomainUnit, MutualTls, TlsPolicy
from portico_ir.secrets import Redacted

MOST_CONTEXTS: Final = 1_024
"""Per worker. One takes some 30 KB; what was not asked for longest is made again."""
_RETRY_S: Final = 10.0
"""A default certificate that could not be read is looked for again."""

_VERSIONS: Final = {
    "1.0": ssl.TLSVersion.TLSv1,
    "1.2": ssl.TLSVersion.TLSv1_2,
    "1.3": ssl.TLSVersion.TLSv1_3,
}
_OPTIONS: Final = ssl.OP_NO_COMPRESSION | ssl.OP_NO_RENEGOTIATION | ssl.OP_CIPHER_SERVER_PREFERENCE
_LEGACY: Final = "DEFAULT:@SECLEVEL=0"
"""TLS 1.0 and 1.1 sign with SHA-1, which OpenSSL has at no other level."""
_ANY: Final = TlsPolicy()


class Refused(enum.Enum):
    """Why there is no context."""

    NO_NAME = "the client gave no name and there is no default certificate"
    UNKNOWN_NAME = "no domain of that name, and there is no default certificate"
    BROKEN = "the domain's certificate cannot be used"


class Source(Protocol):
    """Where the certificate of names comes from that no domain has one for."""

    def certificate(self, server_name: str) -> Certificate | None:
        """The one to show; None: none."""
        ...


class Unusable(Exception):
    """A certificate, key or truststore that OpenSSL does not take. The text is for operators."""


class Unreadable(Exception):
    """Files that hold no certificate and key. The text is for who named them."""


class _Wanted(NamedTuple):
    """All that makes a context what it is; by value, so that equal domains share one."""

    certificate: Certificate
    policy: TlsPolicy
    mutual: MutualTls | None


class CertificateStore:
    """Contexts by name."""

    def __init__(
        self,
        find: Callable[[str], DomainUnit | None],
        default: Source | None = None,
        most: int = MOST_CONTEXTS,
    ) -> None:
        self._find = find
        self._default = default
        self._most = most
        self._contexts: OrderedDict[_Wanted, ssl.SSLContext | str] = OrderedDict()
        """A text says why there is none: it is not tried again for each handshake."""

    def choose(self, server_name: str) -> ssl.SSLContext | Refused:
        """The context for a name in lower case, or for none."""
        unit = self._find(server_name) if server_name else None
        if unit is None:
            policy, mutual, certificate = _ANY, None, None
        elif unit.broken:
            return Refused.BROKEN
        else:
            policy, mutual, certificate = unit.policy, unit.mutual, unit.certificate
        if certificate is None and self._default is not None:
            certificate = self._default.certificate(server_name)
        if certificate is None:
            if unit is not None:
                return Refused.BROKEN
            return Refused.UNKNOWN_NAME if server_name else Refused.NO_NAME
        context = self._context(_Wanted(certificate, policy, mutual))
        return Refused.BROKEN if isinstance(context, str) else context

    def failure(self, server_name: str) -> str:
        """Why `choose` said BROKEN, for operators."""
        unit = self._find(server_name)
        if unit is None or unit.broken:
            return "" if unit is None else unit.broken
        if unit.certificate is None:
            return "the domain has no certificate"
        found = self._contexts.get(_Wanted(unit.certificate, unit.policy, unit.mutual))
        return found if isinstance(found, str) else ""

    @property
    def size(self) -> int:
        """Contexts that exist."""
        return len(self._contexts)

    def _context(self, wanted: _Wanted) -> ssl.SSLContext | str:
        found = self._contexts.get(wanted)
        if found is not None:
            self._contexts.move_to_end(wanted)
            return found
        made: ssl.SSLContext | str
        try:
            made = server_context(*wanted)
        except Unusable as error:
            made = str(error)
        self._contexts[wanted] = made
        if len(self._contexts) > self._most:
            self._contexts.popitem(last=False)
        return made


def server_context(
    certificate: Certificate, policy: TlsPolicy = _ANY, mutual: MutualTls | None = None
) -> ssl.SSLContext:
    """A context of AWS §8.5 and §6.4; `Unusable` says what is wrong with its parts."""
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    context.options |= _OPTIONS
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", DeprecationWarning)  # TLS_1_0 is a policy of AWS's
        context.minimum_version = _VERSIONS[policy.minimum]
    context.set_alpn_protocols(["http/1.1"])
    try:
        _set_ciphers(context, policy, mutual)
    except ssl.SSLError as error:
        raise Unusable(f"ciphers: {told(error)}") from None
    try:
        load_certificate(context, certificate)
    except (OSError, ValueError) as error:  # ssl.SSLError is an OSError
        raise Unusable(f"certificate and key: {told(error)}") from None
    if mutual is not None:
        try:
            _ask_for_certificate(context, mutual)
        except (OSError, ValueError) as error:
            raise Unusable(f"truststore: {told(error)}") from None
    return context


def _set_ciphers(context: ssl.SSLContext, policy: TlsPolicy, mutual: MutualTls | None) -> None:
    # TLS 1.3's suites are OpenSSL's three AEADs; the module cannot choose among them.
    if policy.minimum == "1.0" and mutual is None:
        context.set_ciphers(
            ":".join((*policy.ciphers, "@SECLEVEL=0")) if policy.ciphers else _LEGACY
        )
    elif policy.ciphers:
        # Level 2: RSA from 2048, curves from 224 bits, no SHA-1; AWS §6.4 asks for that too.
        context.set_ciphers(":".join((*policy.ciphers, "@SECLEVEL=2")))


def _ask_for_certificate(context: ssl.SSLContext, mutual: MutualTls) -> None:
    context.verify_mode = ssl.CERT_REQUIRED
    # A chain may end in any certificate of the store, self-signed or not.
    context.verify_flags |= ssl.VERIFY_X509_PARTIAL_CHAIN
    context.load_verify_locations(cadata=mutual.authorities)
    # A resumed session is not verified again, and a certificate may have expired since.
    context.options |= ssl.OP_NO_TICKET
    context.num_tickets = 0


def load_certificate(context: ssl.SSLContext, certificate: Certificate) -> None:
    """What the context shows from now on; OSError or ValueError: OpenSSL does not take it."""
    pem = f"{certificate.chain.rstrip()}\n{certificate.key.reveal().strip()}\n".encode()
    with _readable(pem) as path:
        # Without a password of ours OpenSSL would ask the terminal for that of a locked key.
        context.load_cert_chain(path, password=_no_password)


def _no_password() -> str:
    return ""


@contextlib.contextmanager
def _readable(content: bytes) -> Iterator[str]:
    """A path under which OpenSSL, and nobody else, can read `content` for a moment."""
    if hasattr(os, "memfd_create"):
        # Memory without a name; works where the whole file system is read-only.
        with os.fdopen(os.memfd_create("tls", os.MFD_CLOEXEC), "wb") as file:
            file.write(content)
            file.flush()
            yield f"/proc/self/fd/{file.fileno()}"
    else:  # not Linux: a file of mode 0600 in a directory of mode 0700, gone right after
        with tempfile.TemporaryDirectory() as directory:
            path = os.path.join(directory, "tls")
            with open(os.open(path, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o600), "wb") as file:
                file.write(content)
            yield path


class FileCertificate:
    """The default certificate, of two files that may be replaced at any time."""

    def __init__(self, certificate: str, key: str) -> None:
        self._paths = (certificate, key)
        self._current: Certificate | None = None
        self._stamps: tuple[float, ...] = ()
        self._look_at = 0.0

    def certificate(self, server_name: str) -> Certificate | None:
        """The same for every name; files that cannot be read leave the one before."""
        now = time.monotonic()
        if now >= self._look_at:
            self._look_at = now + _RETRY_S
            self._look()
        return self._current

    def _look(self) -> None:
        try:
            stamps = tuple(os.stat(path).st_mtime for path in self._paths)
            if stamps != self._stamps:
                self._current = self.read()
                self._stamps = stamps
        except (OSError, Unreadable):
            pass  # half-written, or away for a moment: the last good one serves on

    def read(self) -> Certificate:
        """What the files hold now; `Unreadable` when that is no certificate and key."""
        texts = []
        for path in self._paths:
            try:
                with open(path, encoding="ascii") as file:
                    texts.append(file.read())
            except (OSError, ValueError) as error:
                raise Unreadable(f"{path}: {told(error)}") from None
        certificate = Certificate(chain=texts[0], key=Redacted(texts[1]))
        try:
            server_context(certificate)
        except Unusable as error:
            raise Unreadable(f"{' and '.join(self._paths)}: {error}") from None
        return certificate


def told(error: Exception) -> str:
    """What OpenSSL means, without its codes; nothing of what it read."""
    if not isinstance(error, ssl.SSLError):
        return getattr(error, "strerror", None) or "no PEM"
    reason = getattr(error, "reason", None)
    if reason and "PEM" not in reason:
        return str(reason).replace("_", " ").lower()
    if str(error).startswith("('"):
        return "none of them is known to OpenSSL"
    return "no PEM that OpenSSL can read, or no key without a password"
