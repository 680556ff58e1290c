"""A WebSocket at /chat that says back what it hears; a browser gets a page to try it."""

from __future__ import annotations

from aiohttp import WSMsgType, web

from services.serving import serve

PAGE = """<!doctype html>
<meta charset="utf-8">
<title>Petstore chat</title>
<h1>Petstore chat</h1>
<form><input autofocus placeholder="Say something"> <button>Send</button></form>
<pre></pre>
<script>
  const socket = new WebSocket(location.href.replace(/^http/, "ws"));
  const log = text => document.querySelector("pre").append(text + "\\n");
  socket.onopen = () => log("connected");
  socket.onclose = () => log("closed");
  socket.onmessage = event => log("< " + event.data);
  document.querySelector("form").onsubmit = event => {
    event.preventDefault();
    const input = document.querySelector("input");
    log("> " + input.value);
    socket.send(input.value);
    input.value = "";
  };
</script>
"""

routes = web.RouteTableDef()


@routes.get("/chat")
async def chat(request: web.Request) -> web.StreamResponse:
    """The echo for WebSocket clients, the page for everyone else."""
    socket = web.WebSocketResponse()
    if not socket.can_prepare(request).ok:
        return web.Response(text=PAGE, content_type="text/html")
    await socket.prepare(request)
    async for message in socket:
        if message.type is WSMsgType.TEXT:
            await socket.send_str(message.data)
        elif message.type is WSMsgType.BINARY:
            await socket.send_bytes(message.data)
    return socket


def make_app() -> web.Application:
    """The service."""
    app = web.Application()
    app.add_routes(routes)
    return app


if __name__ == "__main__":
    serve(make_app(), __doc__)
