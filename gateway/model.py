"""The frozen types that flow through the gateway; one request is described by them from its first byte to its answer.

What every request makes is a msgspec Struct, which is made several times faster than a frozen dataclass.
"""

from collections.abc import Callable
from dataclasses import dataclass
from enum import StrEnum
from typing import Literal, Protocol

import msgspec


@dataclass(frozen=True, slots=True, order=True)
class Place:
    """Where something stands in a configuration file; line and column count from 1."""

    file: str
    line: int
    column: int

    def __str__(self) -> str:
        return f"{self.file}:{self.line}:{self.column}"


@dataclass(frozen=True, slots=True)
class Rate:
    """How many requests a sender may make, as a bucket that refills."""

    count: int
    seconds: float


class Information(StrEnum):
    """Information types: what a message is about, named as the municipalities name it."""

    __hash__ = str.__hash__  # each request is looked up by it, and Enum's own is a function of Python

    MEDISINERING = "medisinering"
    VARSEL = "varsel"
    TILSYN = "tilsyn"
    NOTAT = "notat"
    MALEDATA = "maledata"
    SKJEMABESVARELSE = "skjemabesvarelse"
    PASIENTINFO = "pasientinfo"
    TJENESTER = "tjenester"
    BESOKSPLAN = "besoksplan"
    TILTAKSPLAN = "tiltaksplan"
    DIAGNOSER = "diagnoser"
    ALLERGIER = "allergier"
    LEGEMIDLER = "legemidler"


class Group(StrEnum):
    """The two groups of information types: write towards the record, or read from it."""

    __hash__ = str.__hash__  # each request is looked up by it, and Enum's own is a function of Python

    JOURNALING = "journaling"
    RETRIEVAL = "retrieval"


JOURNALING = frozenset(
    {
        Information.MEDISINERING,
        Information.VARSEL,
        Information.TILSYN,
        Information.NOTAT,
        Information.MALEDATA,
        Information.SKJEMABESVARELSE,
    }
)
RETRIEVAL = frozenset(Information) - JOURNALING

MEMBERS = {Group.JOURNALING: JOURNALING, Group.RETRIEVAL: RETRIEVAL}

Topic = Information | Group | None
"""What a route is looked up by: a type; of what has none, the group that its path says; None where that is not known either."""
TOPICS: tuple[Topic, ...] = (None, *Group, *Information)


class Mode(StrEnum):
    """How far a cell has migrated."""

    __hash__ = str.__hash__  # each request is looked up by it, and Enum's own is a function of Python

    LEGACY = "legacy"
    REHEARSE = "rehearse"
    COMPARE = "compare"
    CANARY = "canary"
    NEW = "new"
    EPJ = "epj"
    CLOSED = "closed"


GOES_NEW = (Mode.NEW, Mode.CANARY)
"""Modes of a route by which an information service gets messages, all or some."""
PASSING = frozenset({Mode.LEGACY, Mode.REHEARSE, Mode.COMPARE})
"""Modes of a decision in which VKP checks and answers a message, as it came."""


def same_number(number: str) -> str:
    """Return a HER-id or an organisation number as it compares with others: zeros before it are no part of it."""
    return number.lstrip("0") or number[:1]


Headers = tuple[tuple[bytes, bytes], ...]


class RequestHead(msgspec.Struct, frozen=True):
    """The first part of a request as the sender wrote it: names, values and order untouched."""

    method: str
    target: str
    """The request target byte for byte; bytes above 0x7F as surrogate escapes."""
    headers: Headers

    def values(self, name: bytes) -> list[bytes]:
        """Every value of the field, in order; `name` in lower case."""
        return [value for field, value in self.headers if field.lower() == name]

    @property
    def authorization(self) -> bytes | None:
        """The only Authorization value; None when there is none, or more than one."""
        values = self.values(b"authorization")
        return values[0] if len(values) == 1 else None


class SenderLeft(Exception):  # noqa: N818 - the condition
    """The sender left before its request was complete; nobody waits for an answer."""


class Body(Protocol):
    """The body of a request, still arriving."""

    def whole(self, limit: int) -> bytes | None:
        """Return the body if all of it has come and it is not larger than `limit` bytes; what was read is kept."""
        ...

    async def read(self, limit: int) -> bytes | None:
        """Return the whole body, or None as soon as it is known to be larger than `limit` bytes.

        What has been read is kept: a `Pass` still sends the body from its first byte. Raises `SenderLeft`.
        """
        ...


class Reply(msgspec.Struct, frozen=True):
    """The gateway's own answer."""

    status: int
    headers: Headers
    body: bytes


class Envelope(msgspec.Struct, frozen=True):
    """What routing needs to know of a request."""

    surface: str
    municipality: str | None
    """Short name; None when the request names none that routes.yaml knows."""
    sender: str | None
    """The sender's vkp-id or HER-id as routes.yaml has it; None when unknown."""
    vendor: str | None
    system: str | None
    information: Information | None
    """None when the message does not say, or was not read."""
    share: float | None = None
    """Where the patient stands between 0 and 1, by a keyed hash; None without a usable number, or where no canary asks."""
    group: Group | None = None
    """What the path alone says; None where it does not."""

    @property
    def topic(self) -> Topic:
        """By what the route is looked up."""
        return self.information or self.group


UNRECOGNISED = "unrecognised"
"""The surface of a request that no surface knows."""


class Finding(msgspec.Struct, frozen=True):
    """What was found in a message that its vendor should know: where and what, and never a value of the message."""

    kind: Literal["fault", "repair", "loss"]
    rule: str
    """The name of the fault, or of the repair; `loss` for every loss."""
    place: str = ""
    """A path; empty where it is about the whole message."""
    detail: str = ""
    """What is wrong with it, for the sender's developer."""


class Account(msgspec.Struct, frozen=True):
    """What happened to a message, for the log and the metrics; it holds nothing of the message itself."""

    correlation_id: str
    envelope: Envelope
    mode: Mode | None
    upstream: str | None
    route: str | None
    """Where the deciding route stands, `file:line:column`."""
    outcome: str
    """`passed`, `accepted`, or the name of a fault."""
    diagnostics: str | None = None
    repairs: tuple[str, ...] = ()
    """The rules that were used, once for each use."""
    losses: tuple[str, ...] = ()
    """What could not be carried, by the paths from the innermost resource."""
    event_id: str | None = None
    """The id that the information service gave the event."""
    first: str | None = None
    """The reference of the message's first copy, where this is another."""
    marks: tuple[str, ...] = ()
    """`possible-duplicate`, `identifier-reused`."""
    layer: str | None = None
    """What kind of rule decided: `panic`, `override`, `cutover`, `routes`; None where nothing did."""
    rule: str | None = None
    """By which people know that panic, override or cutover; None for a route of the file."""
    canary: bool = False
    """Whether a canary decided, so that `mode` is the side that the patient is on."""
    generation: int | None = None
    """The number of the table that decided; None where nothing did."""
    findings: tuple[Finding, ...] = ()
    """What was found in it when it was translated."""
    address: str | None = None
    """The sender's, of a request that was refused before its sender was trusted; None of every other."""


class Afterwards(msgspec.Struct, frozen=True):
    """What is done when an upstream has answered a request; the answer does not wait for it."""

    limit: int
    """Bytes of a body, and of its answer's, that are kept for it."""
    done: Callable[[Account, int, bytes, bytes], None]
    """Takes the account, the status of the answer, the request's body and the answer's."""
    too_large: Callable[[Account, int], None] | None = None
    """Takes the account and the status in place of that where one of the two is larger; None where nothing is done then."""


class Pass(msgspec.Struct, frozen=True):
    """Send the request on as it is, and its answer back as it is."""

    upstream: str
    finishes_alone: bool = False
    """Whether a request that was sent completely is finished even if its sender leaves: a journaling is."""
    afterwards: Afterwards | None = None


class Handled(msgspec.Struct, frozen=True):
    """How a request is answered, and the account of it."""

    answer: Pass | Reply
    account: Account
