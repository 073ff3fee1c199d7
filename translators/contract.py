"""What a translator takes and gives: trees, repairs, losses, calls, refusals."""

from collections.abc import Mapping
from dataclasses import dataclass, field
from enum import StrEnum
from typing import Literal, Self, TypeAlias


class Number:
    """A JSON number by the digits it was written with, so that 81.30 stays 81.30.

    Not a dataclass: the encoder would write one as an object instead of asking what it is.
    """

    __slots__ = ("text",)

    def __init__(self, text: str) -> None:
        self.text = text

    def __eq__(self, other: object) -> bool:
        return isinstance(other, Number) and other.text == self.text

    def __hash__(self) -> int:
        return hash(self.text)

    def __repr__(self) -> str:
        return f"Number({self.text!r})"


class RepairedText(str):
    """A text that a repair made; it behaves as any text, and is not counted again when a later step replaces it."""

    __slots__ = ()


class RenumberedText(RepairedText):
    """A code of today in the place of a superseded one: it is never read by the old table again."""

    __slots__ = ()


class FormerStatus(RepairedText):
    """A status in the place of one that said more, of a type that has become another: a note has words for the former."""

    __slots__ = ("code", "element")

    def __new__(cls, text: str, element: str, code: str) -> Self:
        """Return a text that knows what stood there: the element by its path in R4, and its code."""
        made = super().__new__(cls, text)
        made.element, made.code = element, code
        return made

    element: str
    code: str


class RepairedNumber(Number):
    """A number that a repair made; see `RepairedText`."""

    __slots__ = ()


class Made:
    """An element of the result that we made, in its place until `translators.made.settled` takes the value out."""

    __slots__ = ("rule", "value")

    def __init__(self, value: "Tree", rule: str) -> None:
        self.value = value
        self.rule = rule


Scalar: TypeAlias = str | bool | Number | None
Tree: TypeAlias = "Scalar | Made | list[Tree] | dict[str, Tree]"

InformationName: TypeAlias = Literal["medisinering", "varsel", "tilsyn", "notat", "maledata", "skjemabesvarelse"]


Undelivered: TypeAlias = Literal["test", "not-to-be-journaled"]
"""Why a message is acknowledged and delivered nowhere: it only tests the way, or says itself that its event is not to be
journaled."""


class Reason(StrEnum):
    """Why a message is refused; the gateway gives each its VKP code."""

    FORMAT = "format"
    """Not well-formed, too deep, wrong encoding, or not what the path says."""
    PATIENT = "patient"
    """No usable national identity number names the patient."""
    UNKNOWN_PATIENT = "unknown-patient"
    """The patient is named by a number of the record system's own, of which no national one is known."""
    LOSS = "loss"
    """Something would be lost that the route does not tolerate."""
    UNSUPPORTED = "unsupported"
    """No service takes this kind of message yet."""
    SIGNATURE = "signature"
    """It is signed, and its signature is not verified."""


class Refused(Exception):  # noqa: N818 - a refusal is an outcome with a name of its own, not a failure of the program
    """A message that is not translated; neither text nor path ever holds a value from the message."""

    def __init__(self, reason: Reason, text: str, path: str | None = None) -> None:
        super().__init__(f"{path}: {text}" if path and path not in text else text)
        self.reason = reason
        self.text = text
        self.path = path
        self.tree: Tree = None
        """What could be read of the message, for the answer to it; it is translated no further."""


@dataclass(frozen=True, slots=True)
class Repair:
    """A named correction of input that VKP lets pass and a service refuses."""

    path: str
    rule: str


@dataclass(frozen=True, slots=True)
class Loss:
    """Something the source says that the target cannot carry."""

    path: str
    element: str
    """The path from the innermost resource, without indexes: what `losses:` of a route names."""
    reason: str


@dataclass(frozen=True, slots=True)
class Derived:
    """An element of the result that we made: the source does not say it, the rule does."""

    path: str
    """Where it stands in the result."""
    rule: str


@dataclass(frozen=True, slots=True)
class Coverage:
    """What became of the leaves of the source; `leaves` is the sum of carried, repaired and lost."""

    leaves: int = 0
    carried: int = 0
    """Leaves that are written into what is sent, or that `Message.addressing` names as used."""
    used: int = 0
    """Those of them that are used and not sent on."""
    derived: int = 0
    """Leaves of the result that the source does not have."""
    repaired: int = 0
    lost: int = 0


@dataclass(frozen=True, slots=True)
class Message:
    """A journaling in the inner language, VKP R4 (profiles v090), with what was done to get it there."""

    tree: dict[str, Tree]
    information: InformationName | None
    repairs: tuple[Repair, ...]
    losses: tuple[Loss, ...]
    coverage: Coverage
    derived: tuple[Derived, ...] = ()
    addressing: tuple[str, ...] = ()
    """The places that were used for addressing and are not sent on, each with all that is below it."""
    undelivered: Undelivered | None = None
    """Why it is acknowledged and delivered nowhere; None for every other message."""


@dataclass(frozen=True, slots=True)
class Call:
    """One request to an information service; the path is below the service's configured address."""

    service: str
    method: str
    path: str
    headers: tuple[tuple[str, str], ...]
    body: bytes


@dataclass(frozen=True, slots=True)
class Settings:
    """What a municipality's configuration says about translation."""

    allowed_numbers: frozenset[str]
    """Kinds of national numbers (`translators.national_number.Kind`) that may identify a patient."""
    tolerated_losses: tuple[str, ...] = ()
    numbers: Literal["patient", "everywhere"] = "patient"
    """Whose national numbers must be of these kinds: the patient's, or those of everybody whom the message identifies."""
    source_system: str | None = None
    """The sender's system by name, for `nhn-source-system`."""
    received: str | None = None
    """When the gateway got the message (FHIR instant), for a document about what does not say when it happened."""
    code_history: tuple[tuple[str, str], ...] = ()
    """Which table the sender uses, by code system: `("alert", "until-2022-01-14")`."""
    unknown_codes: Literal["refuse", "pass"] = "refuse"
    """What becomes of a code that is in no table of its code system; one that passes is listed as a repair."""
    not_to_be_journaled: Literal["acknowledge", "refuse"] = "acknowledge"
    """What becomes of a note whose class says that its event is not to be journaled."""
    local_numbers: Mapping[tuple[str, str], str] = field(default_factory=dict)
    """National identity numbers by the record system's own identifier system and number."""
    signature: Literal["refuse", "ignore"] = "refuse"
    """What becomes of a message that is signed: no signature is verified."""


@dataclass(frozen=True, slots=True)
class Translation:
    """One message as calls, or the reason why not."""

    information: InformationName | None = None
    calls: tuple[Call, ...] = ()
    repairs: tuple[Repair, ...] = ()
    losses: tuple[Loss, ...] = ()
    derived: tuple[Derived, ...] = ()
    addressing: tuple[str, ...] = ()
    """See `Message.addressing`."""
    coverage: Coverage = field(default_factory=Coverage)
    undelivered: Undelivered | None = None
    """Why the message is to be acknowledged and delivered nowhere; it has no calls then."""
    refusal: Refused | None = None
    patient: str | None = field(default=None, repr=False)
    """The national number of the patient it is about, of a message that has calls; never shown."""
    other_numbers: tuple[str, ...] = field(default=(), repr=False)
    """The same patient's other national numbers."""
