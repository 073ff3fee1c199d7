"""What rules are called: names that say whether the same was asked for before."""

import hashlib
import re
import secrets
from typing import NamedTuple

_ETAG = re.compile(r'\s*"([0-9]{1,9})"\s*')


class Name(NamedTuple):
    """What a new rule is called."""

    name: str
    key: str | None
    """What every name begins with that was made of the same Idempotency-Key; None where there was none."""


def name_of(kind: str, actor: str, given: str | None, content: bytes) -> Name:
    """Return a name for what someone asks for: of their Idempotency-Key and of what it is, or a random one without a key."""
    if given is None:
        return Name(f"{kind}-{secrets.token_hex(6)}", None)
    key = f"{kind}-{_hash(f'{actor} {given}'.encode())}-"
    return Name(key + _hash(content)[:6], key)


def versions_of(if_match: str) -> frozenset[int]:
    """Return the versions that an If-Match field names; what is none, as `*` or a weak one, matches nothing (RFC 9110)."""
    found = (_ETAG.fullmatch(part) for part in if_match.split(","))
    return frozenset(int(each[1]) for each in found if each is not None)


def etag(version: int) -> str:
    """Return a version as ETag and If-Match have it."""
    return f'"{version}"'


def _hash(content: bytes) -> str:
    return hashlib.sha256(content).hexdigest()[:12]
