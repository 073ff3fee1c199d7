"""Stands before every endpoint: who asks, whether they may, and whether a change was meant. What is not declared is refused."""

from collections.abc import Callable, Mapping

import structlog
from aiohttp import web  # noqa: TID251 - the admin port is no part of the data plane

from gateway.admin.endpoints import ENDPOINT, LARGEST_BODY, VISITOR, Access, Endpoint, Handler, Visitor
from gateway.admin.problems import Code, Problem, as_problem, of_http
from gateway.admin.uploads import MULTIPART, parts_of
from gateway.auth.people.authenticator import AuthConfig, Authenticator
from gateway.auth.people.principal import LoginMethod
from gateway.auth.people.rbac import may
from gateway.limits import Throttle, TokenBuckets

log = structlog.get_logger()

CSRF_FIELD, CSRF_HEADER = "csrf", "X-CSRF-Token"
MOST_OF_ONE = 16
"""Requests of one person, or program, under way at a time: each keeps one of the port's connections, streams and slow bodies for long.
A browser has six at most."""
_SAFE_METHODS = frozenset({"GET", "HEAD"})
HEADERS = {
    "Cache-Control": "no-store",
    "Content-Security-Policy": (
        "default-src 'none'; style-src 'self'; script-src 'self'; connect-src 'self'; "
        "form-action 'self'; frame-ancestors 'none'; base-uri 'none'"
    ),
    "Cross-Origin-Opener-Policy": "same-origin",
    "Cross-Origin-Resource-Policy": "same-origin",
    # Not no-referrer: browsers then send "Origin: null" with our own forms.
    "Referrer-Policy": "same-origin",
    "Server": "vkp-gateway",
    "X-Content-Type-Options": "nosniff",
    "X-Frame-Options": "DENY",
}
Page = Callable[[web.Request, Problem], web.Response]


class Guard:
    """A middleware for the endpoints that it knows."""

    def __init__(
        self, authenticator: Authenticator, endpoints: Mapping[tuple[str, str], Endpoint], failed: Throttle, page: Page
    ) -> None:
        self._authenticator = authenticator
        self._endpoints = endpoints
        self._failed_tokens = failed
        self._page = page
        self._requests = TokenBuckets()
        self.metrics_port: int | None = None
        """Of the address at which nothing but metrics and health is served, to whoever reaches it."""

    async def __call__(self, request: web.Request, handler: Handler) -> web.StreamResponse:
        """Answer through `handler`, or say why not."""
        endpoint = self._endpoint(request)
        try:
            response = await self._admitted(request, endpoint, handler)
        except Problem as refusal:
            response = self._refused(request, endpoint, refusal)
        except web.HTTPException as error:
            response = error if error.status < 400 else self._refused(request, endpoint, of_http(error))
        except web.RequestPayloadError:
            # It says that it is packed, and cannot be unpacked.
            response = self._refused(request, endpoint, Problem(Code.BAD_REQUEST, "the body cannot be read"))
        except Exception:
            log.exception("admin.failed")
            response = self._refused(request, endpoint, Problem(Code.FAILED))
        response.headers.update({name: value for name, value in HEADERS.items() if name not in response.headers})
        seen = request.get(VISITOR)
        if seen is not None and seen.origin.startswith("https:"):
            response.headers["Strict-Transport-Security"] = "max-age=31536000"
        return response

    def _endpoint(self, request: web.Request) -> Endpoint | None:
        resource = request.match_info.route.resource
        return None if resource is None else self._endpoints.get((request.method, resource.canonical))

    async def _admitted(self, request: web.Request, endpoint: Endpoint | None, handler: Handler) -> web.StreamResponse:
        auth = self._authenticator.auth
        public = (Access.PUBLIC, Access.PUBLIC_BY_ADDRESS)
        by_metrics_port = self.metrics_port is not None and _port(request) == self.metrics_port
        if by_metrics_port and (endpoint is None or endpoint.needs.access not in public):
            raise Problem(Code.NOT_FOUND)
        if endpoint is None:
            error = request.match_info.http_exception
            if auth is not None and auth.origins.origin(request.host) is not None:
                # So that the page that says so is one of theirs.
                request[VISITOR] = self._visitor(request, auth, is_use=True)
            raise error if error is not None else Problem(Code.NOT_FOUND)
        request[ENDPOINT], needs = endpoint, endpoint.needs
        if needs.access is Access.PUBLIC or by_metrics_port or (auth is None and needs.access in public):
            return await handler(request)
        if auth is None:
            raise Problem(Code.NOT_FOUND)
        request[VISITOR] = visitor = self._visitor(request, auth, is_use=not endpoint.is_live)
        with self._requests.under_way(visitor.person.subject if visitor.person else "", MOST_OF_ONE) as is_within:
            if visitor.person is not None and not is_within:
                raise Problem(Code.TOO_MANY)
            await self._check_meant(request, visitor)
            if needs.access is not Access.LOGIN:
                self._check_allowed(request, endpoint, visitor)
            return await handler(request)

    def _visitor(self, request: web.Request, auth: AuthConfig, *, is_use: bool) -> Visitor:
        origin = auth.origins.origin(request.host)
        if origin is None:
            # A name of somebody else's that leads here: its pages would be ours (DNS rebinding).
            raise Problem(Code.HOST)
        given = request.headers.getall("Authorization", [])
        if given:
            # Then cookies count for nothing, so no page can ride on them.
            scheme, _, token = given[0].partition(" ")
            good = len(given) == 1 and scheme.lower() == "bearer"
            person = self._authenticator.program(auth, token.strip()) if good else None
            return Visitor(auth, origin, person, token_refused=person is None)
        cookie = read(request, SESSION, origin)
        session = self._authenticator.session(auth, cookie, is_use=is_use) if cookie else None
        if session is None:
            return Visitor(auth, origin)
        return Visitor(auth, origin, self._authenticator.person_of(auth, session.login), session, cookie)

    def _check_allowed(self, request: web.Request, endpoint: Endpoint, visitor: Visitor) -> None:
        person, needs = visitor.person, endpoint.needs
        if person is None:
            raise self._stranger(request, visitor)
        if needs.person and person.via is LoginMethod.API_TOKEN:
            raise Problem(Code.PEOPLE_ONLY)
        if not may(person.grants, needs.action, needs.where):
            raise Problem(Code.FORBIDDEN, f"{needs.action} {needs.where.value}")

    def _stranger(self, request: web.Request, visitor: Visitor) -> Problem:
        if not visitor.token_refused:
            return Problem(Code.NOT_LOGGED_IN)
        if self._failed_tokens.is_too_many(request.remote or ""):
            return Problem(Code.TOO_MANY)
        log.warning("people.token.refused", method=request.method, path=endpoint_path(request))
        return Problem(Code.TOKEN)

    async def _check_meant(self, request: web.Request, visitor: Visitor) -> None:
        """Refuse a change that a page of somebody else asked for."""
        if request.method in _SAFE_METHODS or "Authorization" in request.headers:
            return
        if not _is_from_here(request, visitor.origin):
            raise Problem(Code.CSRF, "origin")
        if visitor.session is not None and not visitor.session.is_csrf(await _csrf(request)):
            raise Problem(Code.CSRF, "token")

    def _refused(self, request: web.Request, endpoint: Endpoint | None, refusal: Problem) -> web.StreamResponse:
        auth = self._authenticator.auth
        is_api = request.path.startswith("/api/") if endpoint is None else endpoint.is_api
        if refusal.code is Code.CSRF:
            log.warning("people.change.refused", lacks=refusal.detail, path=endpoint_path(request))
        is_for_programs = endpoint is not None and endpoint.needs.access is Access.PUBLIC_BY_ADDRESS
        if is_api or auth is None or is_for_programs or (endpoint is None and VISITOR not in request):
            return as_problem(refusal)
        if refusal.code is Code.NOT_LOGGED_IN and request.method in _SAFE_METHODS:
            return web.Response(status=303, headers={"Location": "/login"})
        return self._page(request, refusal)


def endpoint_path(request: web.Request) -> str:
    """Return the path as it is declared: what a caller wrote into it is not logged."""
    resource = request.match_info.route.resource
    return "" if resource is None else resource.canonical


def _port(request: web.Request) -> int | None:
    """Return the port that was called, which nothing in the request can say otherwise."""
    name = request.transport.get_extra_info("sockname") if request.transport is not None else None
    return int(name[1]) if isinstance(name, tuple) else None


def _is_from_here(request: web.Request, origin: str) -> bool:
    site = request.headers.get("Sec-Fetch-Site")
    stated = request.headers.get("Origin")
    if site not in (None, "same-origin"):
        return False
    return stated == origin or (stated is None and site == "same-origin")


async def _csrf(request: web.Request) -> str:
    if request.content_type == MULTIPART and request[ENDPOINT].largest > LARGEST_BODY:
        return (await parts_of(request)).get(CSRF_FIELD, b"").decode("latin-1")
    if request.content_type == "application/x-www-form-urlencoded":
        try:
            value = (await request.post()).get(CSRF_FIELD, "")
        except (LookupError, ValueError):
            # An encoding that nobody knows, or bytes that are not of it.
            raise Problem(Code.BAD_REQUEST, "the form cannot be read") from None
        return value if isinstance(value, str) else ""
    return request.headers.get(CSRF_HEADER, "")


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
