"""What is asked of a journaling's body: pure work, done in the event loop for a small one and in a process of its own for a large one.

Each question carries the body, so that a process that is lost loses nothing: another one, or a thread, is asked the same again.
"""

from collections.abc import Mapping
from dataclasses import replace

from msgspec import Struct

from gateway.errors import Failure, Fault
from gateway.surfaces.base import Content, Facts, Operation, Surface
from gateway.surfaces.registry import SURFACES
from gateway.worker.main import Question, main
from translators.contract import (
    Call,
    InformationName,
    Loss,
    Reason,
    Refused,
    Repair,
    Settings,
    Translation,
    Undelivered,
)
from translators.fhir.json_codec import decode, encode
from translators.identity import Business, business_of
from translators.information import information_of
from translators.patient import identifiers_of
from translators.terminology import History
from translators.translate import prepare, translate

_GZIP = b"\x1f\x8b"
"""How a body begins that its sender has compressed, and none in JSON or XML."""
_COMPRESSED = "The body is compressed (gzip), which is not read here: send it as it is, without Content-Encoding"
_BY_NAME = {surface.NAME: surface for surface in SURFACES}


class BodyQuestion(Question, frozen=True):
    """A body, and what is asked of it: what it says, or with settings what it becomes."""

    surface: str
    operation: Operation | None
    histories: tuple[History, ...] = ()
    """The tables that the sender's codes may be of."""
    systems: tuple[str, ...] = ()
    """Of the record systems' own numbers that are asked for."""
    service: str = ""
    settings: Settings | None = None
    """What it is translated with; None where it is only read."""


class _Read(Struct, frozen=True, array_like=True):
    outline: bytes
    """As JSON, which keeps a number's digits."""
    failure: tuple[Fault, str] | None
    information: tuple[InformationName | None, ...]
    """For each of the histories."""
    identifiers: frozenset[tuple[str, str]]
    business: Business | None


class _Translated(Struct, frozen=True, array_like=True):
    """What the pipeline uses of a translation."""

    calls: tuple[Call, ...]
    as_they_came: tuple[int, ...]
    """Which calls send the body as it came: theirs is not brought back."""
    repairs: tuple[Repair, ...]
    losses: tuple[Loss, ...]
    undelivered: Undelivered | None
    refusal: tuple[Reason, str, str | None] | None
    patient: str | None
    other_numbers: tuple[str, ...]


class BodyAnswer(Struct, frozen=True, array_like=True, tag=True):
    """What a body says, or what it becomes."""

    read: _Read | None = None
    translated: _Translated | None = None


def content_of(data: bytes, surface: Surface, operation: Operation | None) -> Content:
    """Return the content of a journaling's whole body."""
    form = surface.form_of(data)
    if data.startswith(_GZIP):
        return Content(None, form, failure=Failure(Fault.MALFORMED, _COMPRESSED), size=len(data))
    try:
        tree, repairs = surface.read(data, operation)
    except Refused as refusal:
        failure = Failure(_fault_of(refusal), str(refusal))
        return Content(refusal.tree, form, failure=failure, size=len(data))
    return Content(tree, form, repairs, size=len(data))


def _fault_of(refusal: Refused) -> Fault:
    """Return what it is when a body cannot be read: a format that nobody takes is said so where the surface knows formats."""
    return Fault.NOT_SUPPORTED if refusal.reason is Reason.UNSUPPORTED else Fault.MALFORMED


def information(content: Content, history: History) -> InformationName | None:
    """Return what a message is about, by the tables that its sender's codes are of; None for what cannot be read."""
    if content.failure is not None:
        return None
    return information_of(content.tree, history) if content.facts is None else content.facts.information[history]


def identifiers(content: Content, systems: Mapping[str, object]) -> set[tuple[str, str]]:
    """Return whom a message names by a number of one of these systems: system and value."""
    if content.facts is None:
        return identifiers_of(content.tree, systems)
    return {one for one in content.facts.identifiers if one[0] in systems}


def business(content: Content) -> Business | None:
    """Return what a message is known again by; None where it has no id, or cannot be read."""
    if content.failure is not None:
        return None
    return business_of(content.tree) if content.facts is None else content.facts.business


def answered(asked: BodyQuestion) -> BodyAnswer:
    """Return the answer to a question."""
    content = content_of(asked.body, _BY_NAME[asked.surface], asked.operation)
    if asked.settings is None:
        return BodyAnswer(read=_read(asked, content))
    done = translate(content.tree, asked.surface, asked.service, asked.settings, content.repairs)
    refusal = done.refusal
    told = None if refusal is None else (refusal.reason, refusal.text, refusal.path)
    came = tuple(place for place, call in enumerate(done.calls) if call.body == asked.body)
    calls = tuple(replace(call, body=b"") if place in came else call for place, call in enumerate(done.calls))
    found = (done.repairs, done.losses, done.undelivered, told, done.patient, done.other_numbers)
    return BodyAnswer(translated=_Translated(calls, came, *found))


def _read(asked: BodyQuestion, content: Content) -> _Read:
    failure, tree = content.failure, content.tree
    return _Read(
        outline=encode(_BY_NAME[asked.surface].outline(tree)),
        failure=None if failure is None else (failure.fault, failure.diagnostics),
        information=tuple(information(content, history) for history in asked.histories),
        identifiers=frozenset(identifiers_of(tree, frozenset(asked.systems)) if asked.systems else ()),
        business=business(content),
    )


def content_told(asked: BodyQuestion, answer: BodyAnswer) -> Content:
    """Return what an answer says of a body that was read, as `content_of` does but for the tree."""
    if (read := answer.read) is None:
        raise TypeError("a body that was not read")
    facts = Facts(dict(zip(asked.histories, read.information, strict=True)), read.identifiers, read.business)
    failure = None if read.failure is None else Failure(*read.failure)
    return Content(decode(read.outline), _BY_NAME[asked.surface].form_of(asked.body), failure=failure, facts=facts)


def translation_told(asked: BodyQuestion, answer: BodyAnswer) -> Translation:
    """Return a translation as far as the pipeline uses it."""
    if (told := answer.translated) is None:
        raise TypeError("a body that was not translated")
    calls = enumerate(told.calls)
    return Translation(
        calls=tuple(replace(call, body=asked.body) if place in told.as_they_came else call for place, call in calls),
        repairs=told.repairs,
        losses=told.losses,
        undelivered=told.undelivered,
        refusal=None if told.refusal is None else Refused(*told.refusal),
        patient=told.patient,
        other_numbers=told.other_numbers,
    )


if __name__ == "__main__":
    prepare()
    main(BodyQuestion, answered)
