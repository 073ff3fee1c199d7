"""Who is at the admin port: a person by a login, or a program by an API token."""

import hashlib
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field
from enum import StrEnum

from gateway.auth.people.rbac import Grant
from gateway.config.model import HPR_NUMBER, PSEUDONYM, Entry

SUBJECT = "sub"
_NAME = "name"
_ALWAYS_KEPT = (SUBJECT, _NAME, PSEUDONYM, HPR_NUMBER)
_LONGEST = 256

Claims = Mapping[str, str]


class LoginMethod(StrEnum):
    """How someone came in."""

    HELSEID = "helseid"
    DEV_LOGIN = "dev-login"
    API_TOKEN = "api-token"  # noqa: S105 - a word, not a secret


@dataclass(frozen=True, slots=True)
class Principal:
    """Someone with what they may do now."""

    via: LoginMethod
    known_as: tuple[str, ...]
    """What logs call them: entries of `people.persons`, or the id of an API token."""
    subject: str
    """Tells one person from another without saying who they are."""
    grants: tuple[Grant, ...]
    name: str = field(default="", repr=False)
    """For pages; never logged."""


def kept_claims(claims: Mapping[str, object], entries: Iterable[Entry]) -> dict[str, str]:
    """Return the claims that a session keeps: those that give roles, and the name."""
    wanted = {*_ALWAYS_KEPT, *(entry.claim for entry in entries)}
    found = {name: _text(claims.get(name)) for name in wanted}
    return {name: value for name, value in found.items() if 0 < len(value) <= _LONGEST}


def _text(value: object) -> str:
    """Return a claim as entries write it: a number stands for its digits."""
    return str(value) if isinstance(value, str | int) and not isinstance(value, bool) else ""


def by_login(claims: Claims, issuer: str, entries: Iterable[Entry]) -> Principal:
    """Return who a login is by the entries of today; a person without grants may do nothing."""
    fitting = [entry for entry in entries if claims.get(entry.claim) == entry.value]
    subject = hashlib.sha256(f"{issuer} {claims[SUBJECT]}".encode()).hexdigest()[:16]
    known_as = tuple(entry.name for entry in fitting)
    return Principal(LoginMethod.HELSEID, known_as, subject, grants_of(fitting), claims.get(_NAME, ""))


def by_dev_login(grants: tuple[Grant, ...], played: str) -> Principal:
    """Return the person that a development login plays; `played` tells several of them apart."""
    known = f"dev-login-{played}" if played else "dev-login"
    return Principal(LoginMethod.DEV_LOGIN, (known,), known, grants, f"Development login {played}".strip())


def grants_of(entries: Iterable[Entry]) -> tuple[Grant, ...]:
    """Return what entries give together."""
    return tuple(Grant(role, entry.municipalities) for entry in entries for role in sorted(entry.roles))
