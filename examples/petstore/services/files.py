"""Large bodies both ways in constant memory.

`GET /files/NAME?size=100MiB` sends that many bytes, the same ones each time; `PUT` and
`POST /files/NAME` count what they get and answer with its size and SHA-256.
"""

from __future__ import annotations

import hashlib
import re

from aiohttp import web

from services.serving import serve

CHUNK = 64 * 1024
LARGEST = 16 * 1024**3
UNITS = {"": 1, "KiB": 1024, "MiB": 1024**2, "GiB": 1024**3}

routes = web.RouteTableDef()


@routes.get("/files/{name}")
async def download(request: web.Request) -> web.StreamResponse:
    """`size` bytes made from the name."""
    size = _size(request.query.get("size", "1KiB"))
    if size is None:
        message = {"message": "size is a number with an optional KiB, MiB or GiB, up to 16GiB"}
        return web.json_response(message, status=400)
    response = web.StreamResponse(headers={"Content-Type": "application/octet-stream"})
    response.content_length = size
    await response.prepare(request)
    if request.method == "HEAD":
        return response
    block = block_of(request.match_info["name"])
    while size > 0:
        await response.write(block if size >= CHUNK else block[:size])
        size -= CHUNK
    await response.write_eof()
    return response


@routes.put("/files/{name}")
@routes.post("/files/{name}")
async def upload(request: web.Request) -> web.Response:
    """Size and digest of the body."""
    received, digest = 0, hashlib.sha256()
    async for chunk in request.content.iter_chunked(CHUNK):
        received += len(chunk)
        digest.update(chunk)
    answer = {
        "name": request.match_info["name"],
        "bytes": received,
        "sha256": digest.hexdigest(),
    }
    return web.json_response(answer, status=201)


def block_of(name: str) -> bytes:
    """The 64 KiB that a file of this name repeats."""
    seed = name.encode()
    parts = (hashlib.sha256(seed + number.to_bytes(4)).digest() for number in range(CHUNK // 32))
    return b"".join(parts)


def _size(text: str) -> int | None:
    found = re.fullmatch(r"([0-9]{1,12})(|KiB|MiB|GiB)", text)
    if found is None:
        return None
    size = int(found[1]) * UNITS[found[2]]
    return size if size <= LARGEST else None


def make_app() -> web.Application:
    """The service."""
    app = web.Application()
    app.add_routes(routes)
    return app


if __name__ == "__main__":
    serve(make_app(), __doc__)
