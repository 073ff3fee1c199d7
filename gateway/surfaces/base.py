"""What a surface is: how a request is recognised and read, and how a sender is told what became of it."""

from collections.abc import Mapping
from dataclasses import dataclass
from datetime import datetime
from enum import StrEnum
from typing import NamedTuple, Protocol

from gateway.config.model import Municipality, Sender
from gateway.errors import Failure, Wording
from gateway.model import MEMBERS, Group, Information, Reply, RequestHead, Topic
from gateway.surfaces.paths import Path
from gateway.surfaces.search import Search
from translators.contract import InformationName, Repair, Tree, Undelivered
from translators.identity import Business
from translators.terminology import History


class Form(StrEnum):
    """A wire form of FHIR."""

    JSON = "json"
    XML = "xml"


_ALONE = {
    "MedicationDispense": Information.MEDISINERING,
    "Encounter": Information.TILSYN,
    "Composition": Information.NOTAT,
    "Communication": Information.NOTAT,
}
"""What a journaling of one resource is about, whatever the resource says."""


@dataclass(frozen=True, slots=True)
class Operation:
    """One operation of an interface."""

    resource: str
    """In lower case; scopes are named after it."""
    kind: str
    """The FHIR resource type that a journaling's body is, or a retrieval's answer holds."""
    group: Group
    information: Information | None
    """What a retrieval asks for; a journaling says it in its body, or by its resource."""
    sender_claim: str
    """The claim of a token that names the sender here."""
    or_her_id: bool = False
    """Whether a token without that claim may name the sender by its HER-id."""

    @property
    def only_type(self) -> Information | None:
        """What every request is about, whatever its content says; None where that is for the content to say."""
        return self.information or _ALONE.get(self.kind)

    @property
    def topics(self) -> tuple[Topic, ...]:
        """What a request may turn out to be about before its content is known: one type; or any, or none."""
        only = self.only_type
        return (self.group, *sorted(MEMBERS[self.group])) if only is None else (only,)

    @property
    def scope(self) -> str:
        """The scope that gives access (format: nhn:vkp/api/user/{resource}.{read|write|*})."""
        access = "write" if self.group is Group.JOURNALING else "read"
        return f"nhn:vkp/api/user/{self.resource}.{access}"

    @property
    def wide_scope(self) -> str:
        """The scope that gives both rights to the resource."""
        return f"nhn:vkp/api/user/{self.resource}.*"


@dataclass(frozen=True, slots=True)
class Recognised:
    """What a request's path says: an operation, and a municipality by one of its two kinds of number."""

    operation: Operation
    orgnr: str | None = None
    her_id: str | None = None
    by_content: bool = False
    """Whether the content says instead which municipality it is for, and which of the path's operations is asked for."""


@dataclass(frozen=True, slots=True)
class Addressed:
    """Whom a message's own content names as its receiver, and what it asks for where the path does not say."""

    orgnrs: tuple[str, ...] = ()
    her_ids: tuple[str, ...] = ()
    operation: Operation | None = None


@dataclass(frozen=True, slots=True)
class Facts:
    """What is asked of a message's tree before it is translated, found out where a large one was read."""

    information: Mapping[History, InformationName | None]
    """What the message is about, by the tables that its sender's codes may be of."""
    identifiers: frozenset[tuple[str, str]]
    """Who is named by a number of a record system's own: system and value."""
    business: Business | None
    """What the message is known again by."""


@dataclass(frozen=True, slots=True)
class Content:
    """A journaling's body, once it was read: its tree, or the failure that reading it was."""

    tree: Tree = None
    """Of a body with `facts` its surface's `outline` alone."""
    form: Form | None = None
    """None where no byte of it was seen, or none that tells."""
    repairs: tuple[Repair, ...] = ()
    """The corrections that decoding it needed."""
    failure: Failure | None = None
    size: int = 0
    """Bytes of the body that work on the tree goes through; 0 where it was not read to its end, or the tree is an outline."""
    facts: Facts | None = None
    """None where the tree is here and can be asked itself."""


@dataclass(frozen=True, slots=True)
class AnswerContext:
    """What an answer may need to know of its request."""

    reference: str
    """By which a sender's developer and an operator speak of the same message."""
    now: datetime
    head: RequestHead | None = None
    recognised: Recognised | None = None
    content: Content | None = None
    """None while the body was not read."""
    sender: Sender | None = None
    """Whom the token names, whether it was verified or not."""

    @property
    def tree(self) -> Tree:
        """The body as it was read; None where it was not, or could not be."""
        return self.content.tree if self.content is not None else None

    @property
    def claimed_type(self) -> bytes:
        """What Content-Type says, in lower case; empty where nothing does."""
        return b"".join(self.head.values(b"content-type")).lower() if self.head is not None else b""


class Found(NamedTuple):
    """One resource of an answer, as VKP's R4 profiles have it."""

    resource: dict[str, Tree]
    url: str | None = None
    """By which others of the same answer refer to it; None: nobody does."""
    is_match: bool | None = None
    """Whether it is what was asked for, or belongs to that; None: its type says so."""


class Surface(Protocol):
    """An interface as senders know it; the modules of this package that implement it stand in `registry.py`."""

    NAME: str
    PREFIX: tuple[str, ...]
    """The first two segments of its paths, by which requests are told apart."""
    ANSWERS_MESSAGES: bool
    """Whether its answers quote the message, so that a message is read before it is refused."""

    def recognise(self, head: RequestHead, path: Path) -> Recognised | None:
        """Return what a request below the prefix asks for; never looks at Content-Type, where senders write anything."""
        ...

    def describe(self, head: RequestHead, path: Path, address: str) -> Reply | None:
        """Answer a request for a description of the interface, whoever asks; None for every other.

        `address` is scheme, host and port of the data port as senders know it.
        """
        ...

    def form_of(self, body: bytes) -> Form | None:
        """Return the wire form of a body."""
        ...

    def read(self, body: bytes, operation: Operation | None) -> tuple[Tree, tuple[Repair, ...]]:
        """Return a journaling's body as a tree; raises `Refused` unless it is what the operation takes.

        Without an operation, what any of the surface's operations takes is read.
        """
        ...

    def outline(self, tree: Tree) -> Tree:
        """Return what `addressed`, `check_parties` and answers look at, and nothing that only translating needs."""
        ...

    def addressed(self, tree: Tree) -> Addressed:
        """Return whom a message names as its receiver; nobody where the path does."""
        ...

    def check_parties(
        self, tree: Tree, municipality: Municipality, sender: Sender, head: RequestHead | None = None
    ) -> None:
        """Raise `Failure` for a message whose own address is another than the request's; `head` is the request's, where it is known."""
        ...

    def accepted(self, asked: AnswerContext, *, undelivered: Undelivered | None = None) -> Reply:
        """Answer a journaling that was accepted, or was acknowledged and delivered nowhere for the reason that `undelivered` names."""
        ...

    def search(self, head: RequestHead, body: bytes, recognised: Recognised) -> Search:
        """Return what a retrieval asks for; raises `Failure` for what is no search of the interface, and repeats nothing of it."""
        ...

    def found(self, asked: AnswerContext, search: Search, resources: tuple[Found, ...]) -> Reply:
        """Answer a retrieval with what was found, in the surface's own form."""
        ...

    def refused(self, asked: AnswerContext, failure: Failure, wording: Wording) -> Reply:
        """Answer a request that was not done."""
        ...
