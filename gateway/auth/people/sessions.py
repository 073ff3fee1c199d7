"""Sessions of people who are logged in: in memory, so they end with the process."""

import hashlib
import hmac
import secrets
from dataclasses import dataclass, field

from gateway.auth.people.principal import Claims
from gateway.auth.people.rbac import Grant
from gateway.config.model import SessionTimes
from gateway.times import Clock

_MOST = 1000


@dataclass(frozen=True, slots=True)
class Login:
    """What a session stands for: claims that HelseID vouched for, or the grants of a development login."""

    claims: Claims = field(default_factory=dict, repr=False)
    dev_grants: tuple[Grant, ...] | None = None
    dev_played: str = ""
    """Whom a development login plays, where that matters: nobody approves a plan of their own."""


@dataclass(slots=True)
class Session:
    """One login in one browser."""

    login: Login
    csrf: str = field(repr=False)
    """What a form must bring to change anything."""
    started_at: float
    used_at: float

    def is_csrf(self, presented: str) -> bool:
        """Compare without telling by the time it takes."""
        return hmac.compare_digest(self.csrf.encode(), presented.encode("utf-8", "replace"))


class Sessions:
    """Finds sessions by their ids, which are only known to browsers: here are their hashes."""

    def __init__(self, clock: Clock) -> None:
        self._clock = clock
        self._known: dict[str, Session] = {}

    def start(self, login: Login) -> str:
        """Begin a session and return its id; the one that was not used for longest goes when there are too many."""
        if len(self._known) >= _MOST:
            del self._known[min(self._known, key=lambda each: self._known[each].used_at)]
        value, now = secrets.token_urlsafe(32), self._clock.monotonic()
        self._known[digest(value)] = Session(login, secrets.token_urlsafe(32), now, now)
        return value

    def find(self, value: str, times: SessionTimes, *, is_use: bool = True) -> Session | None:
        """Return a session that still holds; `is_use` says whether a person asked, which keeps it."""
        key, now = digest(value), self._clock.monotonic()
        session = self._known.get(key)
        if session is None:
            return None
        if now - session.used_at >= times.idle or now - session.started_at >= times.longest:
            del self._known[key]
            return None
        if is_use:
            session.used_at = now
        return session

    def end(self, value: str) -> None:
        """End a session, if it is one."""
        self._known.pop(digest(value), None)

    def end_all(self) -> None:
        """End every session."""
        self._known.clear()


def digest(value: str) -> str:
    """Return the hash under which an unguessable value is kept."""
    return hashlib.sha256(value.encode("utf-8", "replace")).hexdigest()
