"""The way in and out: by HelseID, and on a developer's machine without it."""

import re

import structlog
from aiohttp import web  # noqa: TID251 - the admin port is no part of the data plane

from gateway.admin import guard
from gateway.admin.endpoints import Endpoint, Needs, Visitor, visitor
from gateway.admin.pages.forms import form_of, municipalities_of, see_other
from gateway.admin.pages.render import page, refusal_page, words
from gateway.admin.problems import Code, Problem
from gateway.auth.helseid.http import HelseIdUnavailable
from gateway.auth.people.authenticator import Authenticator
from gateway.auth.people.id_token import LoginRefused
from gateway.auth.people.oidc_login import CALLBACK, LIFETIME
from gateway.auth.people.rbac import Action, Grant
from gateway.auth.people.sessions import Login
from gateway.config.model import Role
from gateway.limits import Throttle

log = structlog.get_logger()

_PLAYED = re.compile(r"(?=.{0,30}\Z)(?:[a-z]+(?:-[a-z]+)*)?")


class LoginPages:
    """Begins and ends sessions."""

    def __init__(self, authenticator: Authenticator, begun: Throttle) -> None:
        self._authenticator = authenticator
        self._begun = begun

    def endpoints(self) -> list[Endpoint]:
        """Return the endpoints of the way in and out."""
        return [
            Endpoint("GET", "/login", self._page, Needs.no_login()),
            Endpoint("GET", "/login/start", self._start, Needs.no_login()),
            Endpoint("GET", CALLBACK, self._callback, Needs.no_login()),
            Endpoint("POST", "/dev-login", self._dev_login, Needs.no_login()),
            Endpoint("POST", "/logout", self._logout, Needs.role(Action.VIEW, person=True)),
        ]

    async def _page(self, request: web.Request) -> web.Response:
        auth, w = visitor(request).auth, words(request)
        roles = [(role.value, w.word("role", role)) for role in sorted(Role)]
        # Only on a developer's machine may a visitor see who is configured.
        places = [one for one in w.municipalities() if one[0] in auth.municipalities] if auth.dev_login else []
        return page(request, "login.html", can_log_in=auth.login is not None, role_options=roles, places=places)

    async def _start(self, request: web.Request) -> web.Response:
        seen = visitor(request)
        login, canonical = seen.auth.login, seen.auth.origins.canonical
        if login is None or canonical is None:
            raise Problem(Code.NOT_FOUND)
        if seen.origin != canonical:
            # HelseID sends the browser back there, and only there would it find the cookie of this login.
            return see_other(f"{canonical}/login/start")
        if self._begun.is_too_many(request.remote or "") or self._authenticator.pending.is_full():
            raise Problem(Code.TOO_MANY)
        try:
            address, browser = await self._authenticator.begin(login)
        except HelseIdUnavailable as error:
            log.warning("people.login.unavailable", error=str(error))
            raise Problem(Code.HELSEID) from None
        except LoginRefused as error:
            raise _refused(error) from None
        response = see_other(address)
        guard.give(response, guard.LOGIN, browser, seen.origin, max_age=LIFETIME)
        return response

    async def _callback(self, request: web.Request) -> web.Response:
        seen = visitor(request)
        if len(set(request.query)) != len(request.query):
            raise _refused(LoginRefused("a parameter is given twice"))
        browser = guard.read(request, guard.LOGIN, seen.origin)
        try:
            who, login = await self._authenticator.finish(seen.auth, dict(request.query), browser)
        except LoginRefused as error:
            raise _refused(error) from None
        except HelseIdUnavailable as error:
            log.warning("people.login.unavailable", error=str(error))
            raise Problem(Code.HELSEID) from None
        if not who.grants:
            log.warning("people.login.without_role", subject=who.subject)
            response = refusal_page(request, Problem(Code.NO_ROLE), dict(login.claims))
            guard.take_back(response, guard.LOGIN, seen.origin)
            return response
        log.info("people.login", known_as=who.known_as, subject=who.subject)
        return self._let_in(seen, login)

    async def _dev_login(self, request: web.Request) -> web.Response:
        seen = visitor(request)
        if not seen.auth.dev_login:
            raise Problem(Code.NOT_FOUND)
        form = await form_of(request)
        roles, places = form.get("roles", []), municipalities_of(form)
        played = form.get("played", [""])[0]
        if not roles or not set(roles) <= set(Role) or not seen.auth.municipalities.issuperset(places):
            raise Problem(Code.BAD_REQUEST, "roles, municipalities")
        if _PLAYED.fullmatch(played) is None:
            raise Problem(Code.BAD_REQUEST, "played: at most 30 letters from a to z, and hyphens between them")
        where = frozenset(places) if places else None
        log.warning("people.dev_login", roles=sorted(roles))
        grants = tuple(Grant(Role(role), where) for role in sorted(set(roles)))
        return self._let_in(seen, Login(dev_grants=grants, dev_played=played))

    async def _logout(self, request: web.Request) -> web.Response:
        seen = visitor(request)
        self._authenticator.sessions.end(seen.cookie)
        log.info("people.logout", known_as=seen.person.known_as if seen.person else ())
        response = see_other("/login")
        guard.take_back(response, guard.SESSION, seen.origin)
        # The steps of a plan, which browsers may keep for their Back button, are not for whoever comes next.
        response.headers["Clear-Site-Data"] = '"cache"'
        return response

    def _let_in(self, seen: Visitor, login: Login) -> web.Response:
        """Begin a session under a new id; the one that the browser had is over."""
        self._authenticator.sessions.end(seen.cookie)
        response = see_other("/")
        guard.give(response, guard.SESSION, self._authenticator.sessions.start(login), seen.origin)
        guard.take_back(response, guard.LOGIN, seen.origin)
        return response


def _refused(error: LoginRefused) -> Problem:
    log.warning("people.login.refused", reason=str(error))
    return Problem(Code.LOGIN, str(error))
