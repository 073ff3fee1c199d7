"""Addresses of requests in one form (RFC 3986 sections 6.2.2 and 6.2.3), so that two ways to write one are the same."""

import re
from functools import lru_cache
from urllib.parse import urlsplit

_PLAIN = re.compile(r"[!-~]{1,4096}")
_ESCAPE = re.compile("%([0-9A-Fa-f]{2})")
_UNRESERVED = re.compile("[A-Za-z0-9._~-]")
_PORTS = {"http": 80, "https": 443}


@lru_cache(maxsize=1024)
def normalised(url: str) -> str | None:
    """Return an absolute HTTP address in its one form; None for any other text, and for one with a query or fragment."""
    if not _PLAIN.fullmatch(url) or "?" in url or "#" in url:
        return None
    try:
        parts = urlsplit(url)
        port = parts.port
    except ValueError:
        return None
    if parts.scheme not in _PORTS or not parts.hostname or "@" in parts.netloc:
        return None
    host = f"[{parts.hostname}]" if ":" in parts.hostname else parts.hostname
    where = "" if port in (None, _PORTS[parts.scheme]) else f":{port}"
    return f"{parts.scheme}://{host}{where}{_without_dots(_ESCAPE.sub(_unescaped, parts.path))}"


def _unescaped(found: re.Match[str]) -> str:
    character = chr(int(found[1], 16))
    return character if _UNRESERVED.fullmatch(character) else found[0].upper()


def _without_dots(path: str) -> str:
    """Return a path without the segments `.` and `..` (RFC 3986 section 5.2.4)."""
    kept: list[str] = []
    segments = path.split("/")[1:]
    for segment in segments:
        if segment == "..":
            del kept[-1:]
        elif segment != ".":
            kept.append(segment)
    if segments and segments[-1] in (".", ".."):
        kept.append("")
    return "/" + "/".join(kept)
