"""API tokens for programs: shown once, kept as hashes in a file that only the gateway may read."""

import asyncio
import secrets
from collections.abc import Iterable
from pathlib import Path

import msgspec

from gateway.auth.people.rbac import TOKEN_ROLES, Grant
from gateway.auth.people.sessions import digest
from gateway.config.model import Role
from gateway.errors import StartupError
from gateway.files import contents, replaced
from gateway.times import Clock

PREFIX = "vkpgw_"
"""By which scanners of leaked secrets know such a token."""
DAY = 86_400
MOST_DAYS = 365
_MOST = 1000
_LONGEST_NAME = 80
_LISTED_AFTERWARDS = 90 * DAY
"""Seconds for which a token that ended stays in the list."""


class TokenRequest(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """A token to be made."""

    name: str
    roles: list[str]
    days: int
    municipalities: list[str] | None = None


class ApiToken(msgspec.Struct, frozen=True):
    """A token as it is kept; of the token itself there is only the hash."""

    id: str
    name: str
    sha256: str
    roles: tuple[Role, ...]
    municipalities: tuple[str, ...] | None
    made_by: tuple[str, ...]
    """Entries of `people.persons`; a token never may more than they give."""
    made_in_dev: bool
    made_at: int
    expires_at: int
    revoked_at: int | None = None

    @property
    def grants(self) -> tuple[Grant, ...]:
        """What the token was made for."""
        places = None if self.municipalities is None else frozenset(self.municipalities)
        return tuple(Grant(role, places) for role in self.roles)


class _File(msgspec.Struct, frozen=True):
    tokens: list[ApiToken]
    version: int = 1


def problem_of(wanted: TokenRequest, municipalities: Iterable[str]) -> str | None:
    """Say what is wrong with a wish for a token."""
    if not 0 < len(wanted.name.strip()) <= _LONGEST_NAME or not wanted.name.isprintable():
        return f"name: 1 to {_LONGEST_NAME} characters"
    if not 1 <= wanted.days <= MOST_DAYS:
        return f"days: 1 to {MOST_DAYS}"
    if not wanted.roles or not set(wanted.roles) <= TOKEN_ROLES:
        return f"roles: one or more of {', '.join(sorted(TOKEN_ROLES))}"
    if wanted.municipalities is not None and not wanted.municipalities:
        return "municipalities: at least one, or left out for all"
    strange = set(wanted.municipalities or ()) - set(municipalities)
    return "municipalities: one is not in routes.yaml" if strange else None


def grants_of(wanted: TokenRequest) -> tuple[Grant, ...]:
    """Return what a wish asks for; it must have no problem."""
    places = None if wanted.municipalities is None else frozenset(wanted.municipalities)
    return tuple(Grant(Role(role), places) for role in sorted(set(wanted.roles)))


class ApiTokens:
    """The tokens of one file; changes are written before they count."""

    def __init__(self, path: Path, clock: Clock) -> None:
        self.path = path
        self._clock = clock
        self._tokens = {token.id: token for token in _read(path)}
        self._index()
        self._changing = asyncio.Lock()

    def find(self, presented: str) -> ApiToken | None:
        """Return the token that is presented, if it still holds."""
        token = self._by_hash.get(digest(presented)) if presented.startswith(PREFIX) else None
        return token if token is not None and self.holds(token) else None

    def holds(self, token: ApiToken) -> bool:
        """Tell whether a token is neither expired nor revoked."""
        return token.revoked_at is None and self._clock() < token.expires_at

    def all(self) -> list[ApiToken]:
        """Return every token that is kept, the newest first."""
        return sorted(self._tokens.values(), key=lambda token: (-token.made_at, token.id))

    def get(self, token_id: str) -> ApiToken | None:
        """Return the token with this id."""
        return self._tokens.get(token_id)

    async def make(self, wanted: TokenRequest, made_by: tuple[str, ...], *, in_dev: bool) -> tuple[ApiToken, str]:
        """Keep a new token, and return it with the secret, which is nowhere else; raises `StartupError`."""
        secret, now = PREFIX + secrets.token_urlsafe(32), int(self._clock())
        token = ApiToken(
            id=secrets.token_hex(8),
            name=wanted.name.strip(),
            sha256=digest(secret),
            roles=tuple(grant.role for grant in grants_of(wanted)),
            municipalities=None if wanted.municipalities is None else tuple(sorted(set(wanted.municipalities))),
            made_by=made_by,
            made_in_dev=in_dev,
            made_at=now,
            expires_at=now + wanted.days * DAY,
        )
        await self._keep(token)
        return token, secret

    async def revoke(self, token: ApiToken) -> None:
        """End a token for good; raises `StartupError`."""
        if token.revoked_at is None:
            await self._keep(msgspec.structs.replace(token, revoked_at=int(self._clock())))

    async def _keep(self, token: ApiToken) -> None:
        async with self._changing:
            since = self._clock() - _LISTED_AFTERWARDS
            kept = {one.id: one for one in self._tokens.values() if min(one.expires_at, one.revoked_at or 1e12) > since}
            kept[token.id] = token
            if len(kept) > _MOST:
                raise StartupError(f"more than {_MOST} tokens")
            try:
                await asyncio.to_thread(replaced, self.path, msgspec.json.encode(_File(list(kept.values()))))
            except OSError as error:
                raise StartupError(f"{self.path.name}: {error.strerror}") from None
            self._tokens = kept
            self._index()

    def _index(self) -> None:
        self._by_hash = {token.sha256: token for token in self._tokens.values()}


_LARGEST = 16 * 1024 * 1024
"""Bytes of the file of tokens."""


def _read(path: Path) -> list[ApiToken]:
    try:
        data = contents(path, _LARGEST, is_secret=True)
    except FileNotFoundError:
        return []
    except OSError as error:
        raise StartupError(f"{path.name}: {error.strerror}") from None
    try:
        found = msgspec.json.decode(data, type=_File)
    except (msgspec.DecodeError, RecursionError):
        raise StartupError(f"{path.name} is not a file of API tokens") from None
    if found.version != 1:
        raise StartupError(f"{path.name} is of another version")
    return found.tokens
