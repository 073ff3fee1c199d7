"""What may be used once or for a while: token ids (RFC 9449 section 11.1) and nonces (section 8)."""

import secrets

NONCE_SECONDS = 60.0
MAX_REMEMBERED = 100_000
"""Values that are kept until those that have expired are looked for."""


class SingleUse:
    """Remembers values until they expire and tells a second use."""

    def __init__(self, max_remembered: int = MAX_REMEMBERED) -> None:
        self._max_remembered = max_remembered
        self._until: dict[str, float] = {}

    def use(self, value: str, now: float, lifetime: float) -> bool:
        """Use `value`; False if it was used before and is still remembered."""
        if self._until.get(value, now) > now:
            return False
        if len(self._until) >= self._max_remembered:
            self._until = {known: until for known, until in self._until.items() if until > now}
        self._until[value] = now + lifetime
        return True


class Nonces:
    """Nonces that a server handed out and still takes."""

    def __init__(self, lifetime: float = NONCE_SECONDS, *, max_remembered: int = MAX_REMEMBERED) -> None:
        self._lifetime = lifetime
        self._max_remembered = max_remembered
        self._until: dict[str, float] = {}

    def issue(self, now: float) -> str:
        """Make a new nonce and forget the expired ones."""
        if len(self._until) >= self._max_remembered:
            self._until = {nonce: until for nonce, until in self._until.items() if until > now}
        nonce = secrets.token_urlsafe(16)
        self._until[nonce] = now + self._lifetime
        return nonce

    def accepts(self, nonce: str, now: float) -> bool:
        """Tell whether `nonce` was issued here and has not expired."""
        return self._until.get(nonce, now) > now
