"""nginx as a proxy, and nginx as a server that gives always the same answer."""

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

_FRAME = """\
daemon off;
worker_processes 1;
pid {folder}/nginx.pid;
error_log {folder}/nginx-error.log error;
events {{ worker_connections 4096; }}
http {{
    access_log off;
    default_type application/fhir+json;
    keepalive_requests 100000000;
    keepalive_timeout 75s;
    client_body_buffer_size 64k;
    client_body_temp_path {folder}/body;
    proxy_temp_path {folder}/proxy;
    fastcgi_temp_path {folder}/fastcgi;
    uwsgi_temp_path {folder}/uwsgi;
    scgi_temp_path {folder}/scgi;
    geo $dollar {{ default "$"; }}
{servers}}}
"""
_PROXY = """\
    upstream legacy {{
        server 127.0.0.1:{upstream};
        keepalive 256;
        keepalive_requests 100000000;
    }}
    server {{
        listen 127.0.0.1:{listen};
        location / {{
            proxy_pass http://legacy;
            proxy_http_version 1.1;
            proxy_set_header Connection "";
            proxy_set_header Host $http_host;
            proxy_request_buffering {buffering};
        }}
    }}
"""
_FIXED = """\
    server {{
        listen 127.0.0.1:{port};
        location / {{
{location}            return {status} '{body}';
        }}
    }}
"""


@dataclass(frozen=True, slots=True)
class Fixed:
    """A server's only answer."""

    port: int
    status: int
    body: str
    location: str = ""


def proxy(folder: Path, listen: int, upstream: int, *, buffered: bool) -> str:
    """Write the configuration of a proxy with one worker and kept connections on both sides."""
    server = _PROXY.format(listen=listen, upstream=upstream, buffering="on" if buffered else "off")
    return _FRAME.format(folder=folder, servers=server)


def fixed(folder: Path, answers: Sequence[Fixed]) -> str:
    """Write the configuration of servers that give fixed answers."""
    return _FRAME.format(folder=folder, servers="".join(map(_server, answers)))


def _server(answer: Fixed) -> str:
    escaped = answer.location.replace("$", "${dollar}")
    location = f'            add_header Location "{escaped}" always;\n' if answer.location else ""
    return _FIXED.format(port=answer.port, status=answer.status, body=answer.body, location=location)
