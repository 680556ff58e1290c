"""The feed: a pod's configuration from the operator, in the supervisor's process.

`feed` tells the story, `link` is one stream, `choice` says which to follow, `units` fetches,
`files` reads what is mounted (token, authorities, names), `lastgood` keeps what served last.
"""
