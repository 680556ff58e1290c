"""The hot path: HTTP/1.1 in, HTTP/1.1 out, callbacks all the way.

`connection` frames what a client sends, `exchange` tells a request's story, `forwarding` and
`call` use `upstream` connections out of `pools`; `head`, `upstream_head`, `lines` and `body`
read what travels, without I/O.
"""
