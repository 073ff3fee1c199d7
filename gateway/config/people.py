"""Who may use the admin port, as routes.yaml says it; one type per part of `people`."""

from dataclasses import dataclass, field
from enum import StrEnum


class Role(StrEnum):
    """What a person is to the gateway; what each may do is in `gateway.people.access`."""

    VIEWER = "viewer"
    PLANNER = "planner"
    APPROVER = "approver"
    OPERATOR = "operator"


PID = "helseid://claims/identity/pid"
PSEUDONYM = "helseid://claims/identity/pid_pseudonym"
HPR_NUMBER = "helseid://claims/hpr/hpr_number"
SECURITY_LEVEL = "helseid://claims/identity/security_level"

NEEDED_SCOPES = {
    PSEUDONYM: "helseid://scopes/identity/pid_pseudonym",
    HPR_NUMBER: "helseid://scopes/hpr/hpr_number",
}
"""The scope that HelseID gives a claim for."""
PID_SCOPE = "helseid://scopes/identity/pid"


@dataclass(frozen=True, slots=True)
class Entry:
    """One entry of `people.persons`: who is meant, by one claim of HelseID's, and which roles that gives."""

    name: str
    """The short name, by which logs and API tokens know the entry."""
    claim: str
    value: str = field(repr=False)
    roles: frozenset[Role]
    municipalities: frozenset[str] | None
    """Short names; None means all."""


@dataclass(frozen=True, slots=True)
class PeopleClient:
    """The HelseID client with which people log in."""

    client_id: str
    key_file: str
    scopes: tuple[str, ...]


@dataclass(frozen=True, slots=True)
class SessionTimes:
    """How long a login lasts, in seconds."""

    idle: float
    longest: float


@dataclass(frozen=True, slots=True)
class People:
    """The part `people` of routes.yaml."""

    url: str
    """The admin port as browsers call it: scheme, host and port."""
    client: PeopleClient
    security_level: int
    """The lowest that HelseID may state for a login."""
    session: SessionTimes
    tokens_file: str
    """A path relative to the configuration file."""
    entries: tuple[Entry, ...]
