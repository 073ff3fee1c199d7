"""HAProxy as a proxy."""

_PROXY = """\
global
    maxconn 4096
    nbthread 1
defaults
    mode http
    timeout connect 5s
    timeout client 75s
    timeout server 75s
    option http-keep-alive
    http-reuse always
frontend senders
    bind 127.0.0.1:{listen}
{buffering}    default_backend legacy
backend legacy
    server legacy 127.0.0.1:{upstream}
"""


def proxy(listen: int, upstream: int, *, buffered: bool) -> str:
    """Write the configuration of a proxy with one thread and kept connections on both sides."""
    buffering = "    option http-buffer-request\n" if buffered else ""
    return _PROXY.format(listen=listen, upstream=upstream, buffering=buffering)
