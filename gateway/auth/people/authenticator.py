"""Who is at the admin port: people by logins and sessions, programs by API tokens, and by which names browsers may call it."""

from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from urllib.parse import urlsplit

from gateway.auth.helseid.client_assertion import ClientKey
from gateway.auth.helseid.http import HelseIdHttp
from gateway.auth.helseid.issuer import Issuer
from gateway.auth.people.api_tokens import ApiToken, ApiTokens
from gateway.auth.people.id_token import LoginRefused
from gateway.auth.people.oidc_login import HelseIdLogin, PendingLogins
from gateway.auth.people.principal import LoginMethod, Principal, by_dev_login, by_login, grants_of, kept_claims
from gateway.auth.people.rbac import Grant, narrowed
from gateway.auth.people.sessions import Login, Session, Sessions
from gateway.config.model import Address, Config, Environment, People, SessionTimes
from gateway.config.values import is_loopback
from gateway.errors import StartupError
from gateway.times import Clock

_DEFAULT_PORTS = {"http": 80, "https": 443}


@dataclass(frozen=True, slots=True)
class Origins:
    """Every Host that is answered, with the origin that its pages have: under any other a page of somebody else could drive the port."""

    canonical: str | None
    """`people.url`."""
    by_host: Mapping[str, str]

    @classmethod
    def of(cls, url: str | None, admin: Address) -> "Origins":
        """Return the configured name, and those of this machine when the port is only open to it."""
        known = {}
        if is_loopback(admin.host):
            for name in ("127.0.0.1", "localhost", "[::1]"):
                known[f"{name}:{admin.port}"] = f"http://{name}:{admin.port}"
        canonical = None if url is None else _normal(url)
        if canonical is not None:
            known[urlsplit(canonical).netloc] = canonical
        return cls(canonical, known)

    @staticmethod
    def host_of(url: str) -> str:
        """Return the name of a URL without its port."""
        return urlsplit(url).hostname or ""

    def origin(self, host: str) -> str | None:
        """Return the origin that a request for this Host is for, or None when it is none of ours."""
        return self.by_host.get(host.lower())


def _normal(url: str) -> str:
    """Return a URL as browsers write an origin (RFC 6454 section 6.1)."""
    parts = urlsplit(url.lower())
    if parts.port == _DEFAULT_PORTS.get(parts.scheme):
        return f"{parts.scheme}://{parts.netloc.rpartition(':')[0]}"
    return f"{parts.scheme}://{parts.netloc}"


_DEV_TIMES = SessionTimes(20 * 60, 8 * 3600)
_DEV_TOKENS_FILE = "var/api-tokens.json"


@dataclass(frozen=True, slots=True)
class AuthConfig:
    """What one configuration says of people."""

    people: People | None
    origins: Origins
    times: SessionTimes
    login: HelseIdLogin | None
    tokens: ApiTokens
    municipalities: frozenset[str]
    issuer: str
    dev_login: bool
    key: ClientKey | None = None
    """What logins are signed with."""


def dev_login_problem(config: Config) -> str | None:
    """Say why people may not log in as whoever they like."""
    if config.environment is not Environment.TEST:
        return "--dev-login needs environment test"
    if not is_loopback(config.listen.admin.host):
        return f"--dev-login needs listen.admin on loopback, not {config.listen.admin}"
    if config.people is not None and not is_loopback(Origins.host_of(config.people.url)):
        return f"--dev-login needs people.url on loopback, not {config.people.url}"
    return None


class Authenticator:
    """Knows people by their sessions, and programs by their API tokens."""

    def __init__(self, clock: Clock, *, dev_login: bool) -> None:
        self._clock = clock
        self._dev_login = dev_login
        self.sessions = Sessions(clock)
        self.pending = PendingLogins(clock)
        self.auth: AuthConfig | None = None
        """None while nobody is let in at all; set by `use`."""

    def prepare(self, config: Config, folder: Path) -> AuthConfig | None:
        """Return who a configuration lets in, and how; raises `StartupError`."""
        if self._dev_login and (problem := dev_login_problem(config)):
            raise StartupError(problem)
        people = config.people
        if people is None and not self._dev_login:
            return None
        key = self._key(people, folder) if people else None
        return AuthConfig(
            people=people,
            origins=Origins.of(people.url if people else None, config.listen.admin),
            times=people.session if people else _DEV_TIMES,
            login=self._login(config, people, key) if people and key else None,
            tokens=self._tokens(folder / (people.tokens_file if people else _DEV_TOKENS_FILE)),
            municipalities=frozenset(config.municipalities),
            issuer=config.helseid.issuer,
            dev_login=self._dev_login,
            key=key,
        )

    def use(self, auth: AuthConfig | None) -> None:
        """Take what `prepare` returned; sessions end when another HelseID, or another level, is asked for from now on."""
        before, self.auth = self.auth, auth
        if before is not None and before.login is not None and before.login.issuer is not self._issuer:
            before.login.issuer.http.close()
        if before is not None and (auth is None or _vouched(before) != _vouched(auth)):
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

    async def finish(self, auth: AuthConfig, answer: dict[str, str], browser: str) -> tuple[Principal, Login]:
        """Return who has logged in; raises `LoginRefused` or `HelseIdUnavailable`."""
        begun = self.pending.take(answer.get("state", ""), browser)
        if begun is None:
            raise LoginRefused("no login has begun here, or it took too long")
        claims = await begun.login.finish(begun.known, answer)
        entries = auth.people.entries if auth.people else ()
        login = Login(kept_claims(claims, entries))
        return self.person_of(auth, login), login

    def person_of(self, auth: AuthConfig, login: Login) -> Principal:
        """Return who is behind a login, by the configuration of now."""
        if login.dev_grants is not None:
            return by_dev_login(login.dev_grants, login.dev_played)
        return by_login(login.claims, auth.issuer, auth.people.entries if auth.people else ())

    def session(self, auth: AuthConfig, cookie: str, *, is_use: bool) -> Session | None:
        """Return the session of a browser."""
        return self.sessions.find(cookie, auth.times, is_use=is_use)

    def program(self, auth: AuthConfig, presented: str) -> Principal | None:
        """Return whoever has an API token, with what it still may."""
        token = auth.tokens.find(presented)
        if token is None or not (grants := self._left(auth, token)):
            return None
        return Principal(LoginMethod.API_TOKEN, (token.id,), f"token {token.id}", grants, token.name)

    def _left(self, auth: AuthConfig, token: ApiToken) -> tuple[Grant, ...]:
        """Return what its maker could still give: a token must not outlive the role that it came from."""
        if token.made_in_dev:
            return token.grants if auth.dev_login else ()
        entries = auth.people.entries if auth.people else ()
        return narrowed(token.grants, grants_of(entry for entry in entries if entry.name in token.made_by))

    def _key(self, people: People, folder: Path) -> ClientKey:
        try:
            return ClientKey(people.client.key_file, folder)
        except StartupError as error:
            raise StartupError(f"people.helseid.key_file: {error}") from None

    def _login(self, config: Config, people: People, key: ClientKey) -> HelseIdLogin:
        """Return the way to HelseID; as long as nothing of it changes the keys that were fetched are kept."""
        known, url = self._issuer, config.helseid.issuer
        issuer = known if known is not None and known.url == url else Issuer(url, HelseIdHttp(url), self._clock)
        return HelseIdLogin(issuer, people, key, self._clock)

    @property
    def _issuer(self) -> Issuer | None:
        return self.auth.login.issuer if self.auth and self.auth.login else None

    def _tokens(self, path: Path) -> ApiTokens:
        if self.auth is not None and self.auth.tokens.path == path:
            return self.auth.tokens
        try:
            return ApiTokens(path, self._clock)
        except StartupError as error:
            raise StartupError(f"people.tokens_file: {error}") from None

    def close(self) -> None:
        """Close the connections to HelseID."""
        if self._issuer is not None:
            self._issuer.http.close()


def _vouched(auth: AuthConfig) -> tuple[str, int]:
    return auth.issuer, auth.people.security_level if auth.people else 0
