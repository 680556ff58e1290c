"""KubeClient: requests to an API server, on aiohttp and msgspec.

Used by everything in this package but kopf, which gets the same credentials. The official client
is half of an operator's memory (reference/kubernetes.md §3), so it is imported only where a
kubeconfig has to be read. Promises: a failure is an `ApiError` with the server's own words.
"""

from __future__ import annotations

import asyncio
import contextlib
import os
import ssl
from collections.abc import AsyncGenerator, AsyncIterator, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from types import TracebackType
from typing import Any, Self

import aiohttp
import msgspec

_ACCOUNT = Path("/var/run/secrets/kubernetes.io/serviceaccount")
_READ_AHEAD = 1 << 20
APPLY = "application/apply-patch+yaml"
"""Content type of server-side apply; JSON is YAML."""


class ApiError(Exception):
    """The API server refused, or could not be reached (status 0)."""

    def __init__(
        self, status: int, reason: str, message: str, retry_after: float | None = None
    ) -> None:
        super().__init__(f"{status} {reason}: {message}" if status else message)
        self.status = status
        self.reason = reason
        self.retry_after = retry_after
        """Seconds that the server asks to wait (RFC 9110 §10.2.3); None: it does not say."""


class NotACluster(Exception):
    """There are no credentials to be found; the message says where was looked."""


@dataclass(frozen=True, kw_only=True)
class Credentials:
    """Where an API server is, and who we are there."""

    server: str
    ca_path: str | None = None
    ca_data: str | None = None
    """PEM."""
    insecure: bool = False
    token: str | None = field(default=None, repr=False)
    token_path: str | None = None
    """Read again for every request: projected tokens are rotated."""
    certificate_path: str | None = None
    key_path: str | None = None

    def bearer(self) -> str | None:
        """The token of this moment."""
        if self.token_path is not None:
            with contextlib.suppress(OSError):
                return Path(self.token_path).read_text().strip()
        return self.token

    def tls(self) -> ssl.SSLContext | bool:
        """For aiohttp."""
        if not self.server.startswith("https:"):
            return True
        context = ssl.create_default_context(cafile=self.ca_path, cadata=self.ca_data)
        if self.insecure:
            context.check_hostname = False
            context.verify_mode = ssl.CERT_NONE
        if self.certificate_path is not None:
            context.load_cert_chain(self.certificate_path, self.key_path)
        return context


def find_credentials(kubeconfig: str | None = None) -> Credentials:
    """The pod's own, or those of a kubeconfig."""
    host = os.environ.get("KUBERNETES_SERVICE_HOST")
    if kubeconfig is None and host and (_ACCOUNT / "token").exists():
        port = os.environ.get("KUBERNETES_SERVICE_PORT", "443")
        host = f"[{host}]" if ":" in host else host
        return Credentials(
            server=f"https://{host}:{port}",
            ca_path=str(_ACCOUNT / "ca.crt"),
            token_path=str(_ACCOUNT / "token"),
        )
    return _from_kubeconfig(kubeconfig)


def _from_kubeconfig(path: str | None) -> Credentials:
    import kubernetes.client
    import kubernetes.config

    configuration: Any = kubernetes.client.Configuration()
    try:
        load: Any = kubernetes.config.load_kube_config
        load(path, client_configuration=configuration)
    except (kubernetes.config.ConfigException, OSError) as why:
        raise NotACluster(f"no credentials for a cluster: {why}") from why
    # The name under which the client keeps it changed with version 36.
    names = ("BearerToken", "authorization")
    token = next(filter(None, map(configuration.get_api_key_with_prefix, names)), None)
    return Credentials(
        server=configuration.host.rstrip("/"),
        ca_path=configuration.ssl_ca_cert,
        insecure=not configuration.verify_ssl,
        token=token.removeprefix("Bearer ") if token else None,
        certificate_path=configuration.cert_file,
        key_path=configuration.key_file,
    )


class KubeClient:
    """One API server; to be used in one event loop and closed."""

    def __init__(self, credentials: Credentials, timeout: float = 30.0) -> None:
        self.credentials = credentials
        self._timeout = timeout
        self._session: aiohttp.ClientSession | None = None

    async def __aenter__(self) -> Self:
        # Watches take a connection each, as long as they last.
        connector = aiohttp.TCPConnector(limit=0, ssl=self.credentials.tls())
        self._session = aiohttp.ClientSession(connector=connector, read_bufsize=_READ_AHEAD)
        return self

    async def __aexit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        if self._session is not None:
            await self._session.close()
            self._session = None

    async def request(
        self,
        method: str,
        path: str,
        *,
        params: Mapping[str, str] | None = None,
        body: Any = None,
        content_type: str = "application/json",
        accept: str = "application/json",
        timeout: float | None = None,
    ) -> bytes:
        """The body of a successful answer."""
        data = None if body is None else msgspec.json.encode(body)
        limit = aiohttp.ClientTimeout(total=timeout or self._timeout)
        try:
            async with self._open(
                method, path, params, limit, data=data, content_type=content_type, accept=accept
            ) as response:
                content = await response.read()
                if response.status >= 400:
                    raise _error(response.status, content, response.headers.get("Retry-After"))
                return content
        except (aiohttp.ClientError, OSError, TimeoutError) as why:
            raise ApiError(0, "Unreachable", f"{path}: {_said(why)}") from why

    async def get(self, path: str, params: Mapping[str, str] | None = None) -> Any:
        """One object, or a list, decoded."""
        return decode(await self.request("GET", path, params=params))

    async def send(
        self,
        method: str,
        path: str,
        body: Any,
        *,
        content_type: str = "application/json",
        timeout: float | None = None,
    ) -> Any:
        """Writes an object; the answer, decoded."""
        return decode(
            await self.request(method, path, body=body, content_type=content_type, timeout=timeout)
        )

    async def watch(
        self, path: str, params: Mapping[str, str], silence: float
    ) -> AsyncGenerator[bytes, None]:
        """Lines of a watch; ends when the server ends it or says nothing for `silence`."""
        limit = aiohttp.ClientTimeout(total=None, sock_connect=self._timeout, sock_read=silence)
        try:
            async with self._open("GET", path, params, limit) as response:
                if response.status >= 400:
                    raise _error(response.status, await response.read())
                async for line in _lines(response.content):
                    yield line
        except TimeoutError:
            return
        except (aiohttp.ClientError, OSError) as why:
            raise ApiError(0, "Unreachable", f"{path}: {_said(why)}") from why

    def _open(
        self,
        method: str,
        path: str,
        params: Mapping[str, str] | None,
        limit: aiohttp.ClientTimeout,
        *,
        data: bytes | None = None,
        content_type: str = "application/json",
        accept: str = "application/json",
    ) -> contextlib.AbstractAsyncContextManager[aiohttp.ClientResponse]:
        if self._session is None:
            raise ApiError(0, "Closed", "the client is closed")
        headers = {"Accept": accept, "User-Agent": "portico-operator"}
        token = self.credentials.bearer()
        if token:
            headers["Authorization"] = f"Bearer {token}"
        if data is not None:
            headers["Content-Type"] = content_type
        return self._session.request(
            method,
            f"{self.credentials.server}{path}",
            params=dict(params or {}),
            data=data,
            headers=headers,
            timeout=limit,
        )


async def _lines(content: aiohttp.StreamReader) -> AsyncIterator[bytes]:
    """Lines of any length; aiohttp's own reader refuses those beyond its buffer."""
    rest = b""
    async for chunk in content.iter_any():
        *whole, rest = (rest + chunk).split(b"\n")
        for line in whole:
            if line:
                yield line
        await asyncio.sleep(0)


def decode(content: bytes) -> Any:
    """JSON of an API server; what is none is its fault, and an `ApiError`."""
    try:
        return msgspec.json.decode(content)
    except (msgspec.DecodeError, UnicodeDecodeError) as why:
        raise ApiError(0, "Undecodable", f"not JSON: {why}") from why


def _said(why: BaseException) -> str:
    return str(why) or type(why).__name__


def _error(status: int, content: bytes, retry_after: str | None = None) -> ApiError:
    # API servers give seconds; a date is a proxy's, and no reason to wait for long.
    wait = float(retry_after) if retry_after and retry_after.isdecimal() else None
    try:
        said = msgspec.json.decode(content)
    except (msgspec.DecodeError, UnicodeDecodeError):
        said = None
    if not isinstance(said, dict):
        return ApiError(status, "", content[:200].decode(errors="replace"), wait)
    return ApiError(status, str(said.get("reason", "")), str(said.get("message", "")), wait)
