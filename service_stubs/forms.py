"""Forms that clients send to HelseID's endpoints, and its answers in JSON."""

from typing import Any
from urllib.parse import parse_qsl

import msgspec
from aiohttp import web

from service_stubs.assertions import TokenRequestError

_FORM = "application/x-www-form-urlencoded"


def form_of(content_type: str, body: bytes) -> dict[str, str]:
    """Read a form in which nothing is said twice, or raise TokenRequestError."""
    if content_type != _FORM:
        raise TokenRequestError("invalid_request", f"Content-Type must be {_FORM}")
    try:
        pairs = parse_qsl(body.decode(), keep_blank_values=True, strict_parsing=True, errors="strict")
    except ValueError as error:
        raise TokenRequestError("invalid_request", "the form is not readable") from error
    if len(pairs) != len(dict(pairs)):
        raise TokenRequestError("invalid_request", "a parameter is given twice")
    return dict(pairs)


def json_answer(status: int, value: Any) -> web.Response:
    """Make an answer that nobody may keep."""
    return web.Response(
        status=status,
        body=msgspec.json.encode(value),
        content_type="application/json",
        charset="utf-8",
        headers={"Cache-Control": "no-store", "Pragma": "no-cache"},
    )
