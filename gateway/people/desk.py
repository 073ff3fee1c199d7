"""Who comes to the admin port: logins, sessions and API tokens, across reloads of the configuration."""

from dataclasses import dataclass
from pathlib import Path

import aiohttp
import structlog

from gateway.config.model import Config, People, SessionTimes
from gateway.config.places import Environment
from gateway.config.values import is_loopback
from gateway.helseid.client_key import ClientKey, KeyUnusable
from gateway.helseid.issuer import Issuer
from gateway.people.access import Grant, narrowed
from gateway.people.api_tokens import ApiToken, ApiTokens, TokensUnusable
from gateway.people.helseid_login import HelseIdLogin
from gateway.people.id_token import LoginRefused
from gateway.people.origins import Origins
from gateway.people.pending import PendingLogins
from gateway.people.person import Person, Via, by_dev_login, by_login, grants_of, kept_claims
from gateway.people.sessions import Clock, Login, Session, Sessions

log = structlog.get_logger()

_DEV_TIMES = SessionTimes(20 * 60, 8 * 3600)
_DEV_TOKENS_FILE = "var/api-tokens.json"


class PeopleUnusable(Exception):  # noqa: N818 - the condition, told to the operator
    """People cannot be served as configured."""


@dataclass(frozen=True, slots=True)
class Doors:
    """What one configuration says of people."""

    people: People | None
    origins: Origins
    times: SessionTimes
    login: HelseIdLogin | None
    tokens: ApiTokens
    municipalities: frozenset[str]
    issuer: str
    dev_login: bool


def dev_login_problem(config: Config) -> str | None:
    """Say why people may not log in as whoever they like."""
    if config.environment is not Environment.TEST:
        return "--dev-login needs environment test"
    if not is_loopback(config.listen.admin.host):
        return f"--dev-login needs listen.admin on loopback, not {config.listen.admin}"
    if config.people is not None and not is_loopback(Origins.host_of(config.people.url)):
        return f"--dev-login needs people.url on loopback, not {config.people.url}"
    return None


class Desk:
    """Knows people by their sessions, and programs by their API tokens."""

    def __init__(self, clock: Clock, *, dev_login: bool) -> None:
        self._clock = clock
        self._dev_login = dev_login
        self.sessions = Sessions(clock)
        self.pending = PendingLogins(clock)
        self._http: aiohttp.ClientSession | None = None
        self.doors: Doors | None = None
        """None while nobody is let in at all; set by `use`."""

    def prepare(self, config: Config, folder: Path) -> Doors | None:
        """Return what a configuration makes of the doors; raises `PeopleUnusable`."""
        if self._dev_login and (problem := dev_login_problem(config)):
            raise PeopleUnusable(problem)
        people = config.people
        if people is None and not self._dev_login:
            return None
        return Doors(
            people=people,
            origins=Origins.of(people.url if people else None, config.listen.admin),
            times=people.session if people else _DEV_TIMES,
            login=self._login(config, people, folder) if people else None,
            tokens=self._tokens(folder / (people.tokens_file if people else _DEV_TOKENS_FILE)),
            municipalities=frozenset(config.municipalities),
            issuer=config.helseid.issuer,
            dev_login=self._dev_login,
        )

    def use(self, doors: Doors | None) -> None:
        """Take what `prepare` returned; sessions end when another HelseID, or another level, is asked for from now on."""
        before, self.doors = self.doors, doors
        if before is not None and (doors is None or _vouched(before) != _vouched(doors)):
            self.sessions.end_all()
            self.pending.forget_all()

    async def begin(self, login: HelseIdLogin) -> tuple[str, str]:
        """Begin a login; return where the browser must go and what it must keep; raises `HelseIdUnavailable`."""
        known, browser = self.pending.begin(login)
        try:
            return await login.begin(known), browser
        except BaseException:
            self.pending.take(known.state, browser)
            raise

    async def finish(self, doors: Doors, answer: dict[str, str], browser: str) -> tuple[Person, Login]:
        """Return who has logged in; raises `LoginRefused` or `HelseIdUnavailable`."""
        begun = self.pending.take(answer.get("state", ""), browser)
        if begun is None:
            raise LoginRefused("no login has begun here, or it took too long")
        claims = await begun.login.finish(begun.known, answer)
        entries = doors.people.entries if doors.people else ()
        login = Login(kept_claims(claims, entries))
        return self.person_of(doors, login), login

    def person_of(self, doors: Doors, login: Login) -> Person:
        """Return who is behind a login, by the configuration of now."""
        if login.dev_grants is not None:
            return by_dev_login(login.dev_grants, login.dev_played)
        return by_login(login.claims, doors.issuer, doors.people.entries if doors.people else ())

    def session(self, doors: Doors, cookie: str) -> Session | None:
        """Return the session of a browser."""
        return self.sessions.find(cookie, doors.times)

    def program(self, doors: Doors, presented: str) -> Person | None:
        """Return whoever has an API token, with what it still may."""
        token = doors.tokens.find(presented)
        if token is None or not (grants := self._left(doors, token)):
            return None
        return Person(Via.API_TOKEN, (token.id,), f"token {token.id}", grants, token.name)

    def _left(self, doors: Doors, token: ApiToken) -> tuple[Grant, ...]:
        """Return what its maker could still give: a token must not outlive the role that it came from."""
        if token.made_in_dev:
            return token.grants if doors.dev_login else ()
        entries = doors.people.entries if doors.people else ()
        return narrowed(token.grants, grants_of(entry for entry in entries if entry.name in token.made_by))

    def _login(self, config: Config, people: People, folder: Path) -> HelseIdLogin:
        """Return the way to HelseID; as long as nothing of it changes the keys that were fetched are kept."""
        try:
            key = ClientKey(people.client.key_file, folder)
        except KeyUnusable as error:
            raise PeopleUnusable(f"people.helseid.key_file: {error}") from None
        if self._http is None:
            self._http = aiohttp.ClientSession(cookie_jar=aiohttp.DummyCookieJar())
        known = self.doors.login.issuer if self.doors and self.doors.login else None
        url = config.helseid.issuer
        issuer = known if known is not None and known.url == url else Issuer(url, self._http, self._clock)
        return HelseIdLogin(issuer, people, key, self._http, self._clock)

    def _tokens(self, path: Path) -> ApiTokens:
        if self.doors is not None and self.doors.tokens.path == path:
            return self.doors.tokens
        try:
            return ApiTokens(path, self._clock)
        except TokensUnusable as error:
            raise PeopleUnusable(f"people.tokens_file: {error}") from None

    async def close(self) -> None:
        """Close the connections to HelseID."""
        if self._http is not None:
            await self._http.close()


def _vouched(doors: Doors) -> tuple[str, int]:
    return doors.issuer, doors.people.security_level if doors.people else 0
