"""HAProxy as a proxy that does what the gateway does in its legacy lane: a map of municipalities, tokens verified, log and metrics."""

from collections.abc import Sequence
from pathlib import Path

_PROXY = """\
global
    maxconn 4096
    nbthread 1
    log stdout format raw local0
defaults
    mode http
    log global
    option httplog
    timeout connect 5s
    timeout client 75s
    timeout server 75s
    option http-keep-alive
    http-reuse always
frontend senders
    bind 127.0.0.1:{listen}
{buffering}    http-request set-var(txn.municipality) path,field(4,/)
    http-request set-var(txn.backend) var(txn.municipality),map({map})
    http-request deny status 404 unless {{ var(txn.backend) -m found }}
    http-request set-var(txn.token) http_auth_bearer
    http-request set-var(txn.expires) http_auth_bearer,jwt_payload_query('$.exp','int')
    http-request set-var(txn.now) date()
    http-request deny status 401 unless {{ var(txn.token),jwt_header_query('$.alg') -m str RS256 }}
    http-request deny status 401 unless {{ var(txn.token),jwt_verify('RS256',"{key}") 1 }}
    http-request deny status 401 if {{ var(txn.expires),sub(txn.now) -m int lt 0 }}
    use_backend %[var(txn.backend)]
frontend metrics
    bind 127.0.0.1:{admin}
    http-request use-service prometheus-exporter
backend legacy
    server legacy 127.0.0.1:{upstream}
"""


def proxy(  # noqa: PLR0913 - what it is told
    folder: Path, listen: int, admin: int, upstream: int, *, key: Path, municipalities: Sequence[str], buffered: bool
) -> str:
    """Write the configuration of a proxy with one thread and kept connections on both sides; `key` is the issuer's public one."""
    routes = folder / "municipalities.map"
    routes.write_text("".join(f"{orgnr} legacy\n" for orgnr in municipalities), encoding="ascii")
    buffering = "    option http-buffer-request\n" if buffered else ""
    return _PROXY.format(listen=listen, admin=admin, upstream=upstream, buffering=buffering, key=key, map=routes)
