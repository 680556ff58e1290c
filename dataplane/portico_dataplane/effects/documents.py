"""Small documents of other people's servers, fetched with aiohttp over the project's dialer.

Used by `effects/keysets.py`, which loads it in a thread when an issuer is first asked, because
aiohttp and the system's authorities are large. Promises: every connection, those of redirects
too, is opened by the dialer, which decides on the resolved address; time and bytes are bounded;
no proxy of the environment, no cookie, no compression; failures are one `NoDocument`.
"""

from __future__ import annotations

import asyncio
import ssl
from typing import Any, Final

import aiohttp
from aiohttp.client_proto import ResponseHandler
from yarl import URL

from portico_dataplane.effects.dialer import Dialer, DialError
from portico_dataplane.effects.keysets import NoDocument

BUDGET_S: Final = 1.5
"""AWS §4.9: for discovery and keys each, redirects included."""
MOST_BYTES: Final = 150_000
"""AWS §4.9."""
MOST_REDIRECTS: Final = 3

_REDIRECTS: Final = frozenset({301, 302, 303, 307, 308})
_HEADERS: Final = {
    "Accept": "application/json",
    "Accept-Encoding": "identity",
    "User-Agent": "Portico",
}


class _Connector(aiohttp.BaseConnector):
    """aiohttp's connections through the dialer."""

    def __init__(self, dialer: Dialer, tls: ssl.SSLContext) -> None:
        super().__init__(force_close=True)
        self._dialer = dialer
        self._tls = tls

    async def _create_connection(
        self, req: aiohttp.ClientRequest, traces: Any, timeout: aiohttp.ClientTimeout
    ) -> ResponseHandler:
        url = req.url
        assert url.raw_host is not None  # `get` saw to it
        assert url.port is not None
        _, protocol = await self._dialer.connect(
            self._factory,
            url.raw_host,
            url.port,
            tls=self._tls if url.scheme == "https" else None,
            timeout_s=BUDGET_S,
        )
        return protocol


class Documents:
    """Fetches for one event loop."""

    def __init__(self, dialer: Dialer, tls: ssl.SSLContext | None = None) -> None:
        self._dialer = dialer
        self._tls = ssl.create_default_context() if tls is None else tls

    async def get(self, address: str) -> bytes:
        """The body of a 200 answer; raises NoDocument."""
        try:
            async with asyncio.timeout(BUDGET_S):
                return await self._get(_checked(address, None))
        except TimeoutError:
            raise NoDocument(f"{address}: no answer within {BUDGET_S:g} s") from None
        except (aiohttp.ClientError, DialError, OSError, ValueError) as failure:
            said = " ".join(str(failure).split()) or type(failure).__name__  # one line
            raise NoDocument(f"{address}: {said}") from None

    async def _get(self, url: URL) -> bytes:
        async with aiohttp.ClientSession(
            connector=_Connector(self._dialer, self._tls),
            cookie_jar=aiohttp.DummyCookieJar(),
            auto_decompress=False,
            headers=_HEADERS,
        ) as session:
            for _ in range(MOST_REDIRECTS + 1):
                async with session.get(url, allow_redirects=False) as answer:
                    if answer.status not in _REDIRECTS:
                        return await _body(answer)
                    location = answer.headers.get("Location", "")
                if not location:
                    raise NoDocument(f"{url}: a redirect to nowhere")
                url = _checked(location, url)
        raise NoDocument(f"{url}: more than {MOST_REDIRECTS} redirects")


async def _body(answer: aiohttp.ClientResponse) -> bytes:
    if answer.status != 200:
        raise NoDocument(f"{answer.url}: status {answer.status}")
    found = bytearray()
    async for piece in answer.content.iter_any():
        found += piece
        if len(found) > MOST_BYTES:
            raise NoDocument(f"{answer.url}: more than {MOST_BYTES} bytes")
    return bytes(found)


def _checked(address: str, before: URL | None) -> URL:
    """Where to go, `before` being where that was said."""
    url = URL(address)
    if before is not None:
        url = before.join(url)
        if before.scheme == "https" and url.scheme != "https":
            raise NoDocument(f"{before}: redirects from https to {url.scheme}")
    if url.scheme not in ("http", "https") or not url.raw_host or not url.port:
        raise NoDocument(f"{url}: not an address of a document")
    if url.user is not None or url.password is not None:
        raise NoDocument("an address with credentials")
    return url
