"""The cookies of the admin port. Over https their names bind them to this host (RFC 6265bis section 4.1.3.2)."""

from aiohttp import web  # noqa: TID251 - the admin port is no part of the data plane

SESSION = "vkp-gateway-session"
LOGIN = "vkp-gateway-login"
LANGUAGE = "vkp-gateway-language"
_PREFIX = "__Host-"


def read(request: web.Request, name: str, origin: str) -> str:
    """Return a cookie, or an empty text."""
    return request.cookies.get(_full(name, origin), "")


def give(response: web.StreamResponse, name: str, value: str, origin: str, *, max_age: int | None = None) -> None:
    """Set a cookie that scripts cannot read and other sites cannot send along with a change."""
    response.set_cookie(
        _full(name, origin),
        value,
        path="/",
        httponly=True,
        # Plain http is for loopback alone.
        secure=_is_https(origin),
        # Not Strict: the answer of HelseID comes from another site, and must find the login it belongs to.
        samesite="Lax",
        max_age=max_age,
    )


def take_back(response: web.StreamResponse, name: str, origin: str) -> None:
    """Remove a cookie."""
    give(response, name, "", origin, max_age=0)


def _full(name: str, origin: str) -> str:
    return _PREFIX + name if _is_https(origin) else name


def _is_https(origin: str) -> bool:
    return origin.startswith("https:")
