"""Logins that have begun and not ended: few, short-lived, each good for one answer in the browser that began it."""

import secrets
from dataclasses import dataclass

from gateway.people.helseid_login import HelseIdLogin, Secrets, new_secrets
from gateway.people.sessions import Clock, digest

_MOST = 200
LIFETIME = 600
"""Seconds that someone has for logging in at HelseID."""


@dataclass(frozen=True, slots=True)
class Begun:
    """A login under way."""

    known: Secrets
    login: HelseIdLogin
    """The one that began it: a code is bound to its key, also over a reload."""
    browser: str
    """Hash of what the browser has in a cookie."""
    until: float


class PendingLogins:
    """Finds a login again by the state that HelseID sends back."""

    def __init__(self, clock: Clock) -> None:
        self._clock = clock
        self._begun: dict[str, Begun] = {}

    def is_full(self) -> bool:
        """Tell whether so many have begun that another one must wait."""
        now = self._clock()
        self._begun = {state: one for state, one in self._begun.items() if one.until > now}
        return len(self._begun) >= _MOST

    def begin(self, login: HelseIdLogin) -> tuple[Secrets, str]:
        """Remember a new login; return its secrets, and the one for the browser's cookie."""
        known, browser = new_secrets(), secrets.token_urlsafe(32)
        self._begun[digest(known.state)] = Begun(known, login, digest(browser), self._clock() + LIFETIME)
        return known, browser

    def forget_all(self) -> None:
        """Let every login begin anew."""
        self._begun.clear()

    def take(self, state: str, browser: str) -> Begun | None:
        """Return the login of this state and browser, once; in another browser it stays where it is."""
        begun = self._begun.get(digest(state))
        if begun is None or begun.browser != digest(browser):
            return None
        del self._begun[digest(state)]
        return begun if self._clock() < begun.until else None
