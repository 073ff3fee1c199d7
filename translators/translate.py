"""One journaling message from a surface's tree to the calls of a service, or the reason why not."""

import re
from collections.abc import Callable
from dataclasses import dataclass, replace
from importlib import resources

from translators import bindings, jft, r4
from translators.completed import completed, joined
from translators.contract import Call, Loss, Message, Reason, Refused, Repair, Settings, Translation, Tree
from translators.fhir import xml_codec
from translators.fhir.elements import stu3 as stu3_elements
from translators.fhir.json_codec import decode
from translators.fhir.quick_check import is_right
from translators.fhir.rules import is_modifier
from translators.fhir.structure import MOST, Checked, Fault, character_faults, check
from translators.links import FULL_URL, followed
from translators.national_number import TEST_KINDS
from translators.patient import check_patient, check_persons
from translators.placed import Sources, placed
from translators.places import spelled
from translators.soap import read as soap
from translators.stu3 import message as stu3


@dataclass(frozen=True, slots=True)
class Writer:
    """How the inner language becomes calls to a service."""

    addressed: Callable[[Message, Settings], Message]
    """The message in the form that the service takes."""
    calls: Callable[[Message, Settings], tuple[Call, ...]]


READERS: dict[str, Callable[[Tree, Settings], Message]] = {
    "vkp-r4": r4.read,
    "vkp-stu3": stu3.read,
    "vkp-soap": soap.read,
}
"""How each surface's tree becomes VKP R4, the inner language."""
WRITERS: dict[str, Writer] = {jft.SERVICE: Writer(jft.addressed, jft.calls)}
"""How VKP R4 becomes calls to each service."""


_ESCAPE = re.compile(rb"\\[ubf]")
_LAST_PLANE = b"\xef"
"""What JSON has in a text for the characters that FHIR does not allow, and for few others."""


def translate(
    tree: Tree, surface: str, service: str, settings: Settings, wire_repairs: tuple[Repair, ...] = ()
) -> Translation:
    """Translate a message; never raises for what the message holds: `refusal` says what was wrong.

    `wire_repairs` are the corrections that decoding the message needed. What has calls is valid FHIR R4: a message that would
    become anything else is refused, with every fault by its place in the message.
    """
    return deliverable(read(tree, surface, settings), tree, surface, service, settings, wire_repairs)


def read(tree: Tree, surface: str, settings: Settings) -> Message | Refused:
    """Return a message in the inner language, or why it cannot be read."""
    try:
        return READERS[surface](tree, settings)
    except Refused as refusal:
        return refusal


def deliverable(  # noqa: PLR0913, PLR0917 - what a message was, and what it is to become
    message: Message | Refused,
    tree: Tree,
    surface: str,
    service: str,
    settings: Settings,
    wire_repairs: tuple[Repair, ...] = (),
) -> Translation:
    """Turn what `read` returned for a tree with these settings into calls to a service, as `translate` does."""
    result, sent, faults = _expressed(message, tree, service, settings, wire_repairs)
    if not faults:
        return _told_by_its_places(result, tree, surface, service, settings, wire_repairs)
    # Once more, with every value knowing its place: only a refusal pays for that.
    origin = placed(tree)
    _, traced, _ = _expressed(read(origin, surface, settings), origin, service, settings, wire_repairs)
    return replace(result, calls=(), patient=None, refusal=_invalid(faults, sent, traced))


def express(tree: Tree, surface: str, service: str, settings: Settings) -> Translation:
    """Translate a message as `translate` does, whether its values are what FHIR R4 allows or not: nothing to be sent."""
    result = _expressed(read(tree, surface, settings), tree, service, settings, ())[0]
    return _told_by_its_places(result, tree, surface, service, settings, ())


@dataclass(frozen=True, slots=True)
class Traced:
    """A translation, and the result with every text and number of the message knowing its own place (`translators.placed`)."""

    translation: Translation
    result: dict[str, Tree]
    """What the calls say; of a message that is refused as much as could be made of it, which may be nothing."""


def traced(tree: Tree, surface: str, service: str, settings: Settings, wire_repairs: tuple[Repair, ...] = ()) -> Traced:
    """Translate a message as `translate` does, and say where each value of the result came from: for a person, not for traffic."""
    translation = translate(tree, surface, service, settings, wire_repairs)
    origin = placed(tree)
    message = read(origin, surface, settings)
    _, result, _ = _expressed(message, origin, service, settings, wire_repairs)
    return Traced(translation, result or ({} if isinstance(message, Refused) else message.tree))


def _told_by_its_places(  # noqa: PLR0913, PLR0917 - as `deliverable`
    result: Translation,
    tree: Tree,
    surface: str,
    service: str,
    settings: Settings,
    wire_repairs: tuple[Repair, ...],
) -> Translation:
    """Return a translation with the sender's places where some are those of the result, which few messages have."""
    if not _is_placed_elsewhere(result, tree):
        return result
    origin = placed(tree)
    again = _expressed(read(origin, surface, settings), origin, service, settings, wire_repairs)[0]
    return replace(result, repairs=again.repairs, refusal=again.refusal)


def _is_placed_elsewhere(result: Translation, tree: Tree) -> bool:
    """Whether what was found in the result is told by its place there, which the sender does not know."""
    path = result.refusal.path if result.refusal is not None else None
    root = tree.get("resourceType") if isinstance(tree, dict) else None
    is_of_another = path is not None and path[:1].isupper() and re.split(r"[.[]", path)[0] != root
    return is_of_another or any(repair.rule == FULL_URL for repair in result.repairs)


def _expressed(
    message: Message | Refused, tree: Tree, service: str, settings: Settings, wire_repairs: tuple[Repair, ...]
) -> tuple[Translation, dict[str, Tree], list[Fault]]:
    """Return a translation, the tree of its calls, and what is wrong with that."""
    if isinstance(message, Refused):
        return Translation(repairs=wire_repairs, refusal=message), {}, []
    if wire_repairs:
        message = replace(message, repairs=wire_repairs + message.repairs)
    if message.undelivered is not None:
        return _translation(message), {}, []
    try:
        _refuse_losses(message.losses, settings.tolerated_losses)
        message = completed(message, settings)
        numbers = check_patient(message.tree, settings.allowed_numbers)
        if settings.numbers == "everywhere":
            check_persons(message.tree, numbers, settings.allowed_numbers)
        message = WRITERS[service].addressed(message, settings)
        # A message that needed nothing is the sender's own tree, and was checked when it was read.
        needs_check = message.tree is not tree and not is_right(message.tree)
        faults, unreached, loose = check(message.tree) if needs_check else Checked([], [], {})
        if loose and not faults:
            message = followed(message, loose)
            unreached = check(message.tree).unreached
        message = joined(message, unreached) if unreached and not faults else message
        # What is refused for its faults is not held to VKP's own tables besides.
        message = bindings.checked(message, settings) if not faults else message
        _refuse_changed(message)
        calls = WRITERS[service].calls(message, settings)
        faults = [*_character_faults(message.tree, calls), *faults][:MOST]
        return _translation(message, calls=calls, numbers=numbers), message.tree, faults
    except Refused as refusal:
        return _translation(message, refusal=refusal), {}, []


def _refuse_changed(message: Message) -> None:
    """Raise `Refused` for a signed Bundle that is not sent as it was signed: its signature would be of something else."""
    if "signature" in message.tree and (message.repairs or message.derived):
        text = "the message is signed, and what is sent of it would not be what was signed"
        raise Refused(Reason.SIGNATURE, text, f"{message.tree['resourceType']}.signature")


def _character_faults(sent: dict[str, Tree], calls: tuple[Call, ...]) -> list[Fault]:
    may_be = any(_ESCAPE.search(call.body) or _LAST_PLANE in call.body for call in calls)
    return character_faults(sent) if may_be else []


def _invalid(faults: list[Fault], sent: dict[str, Tree], traced: dict[str, Tree]) -> Refused:
    """Return the refusal, with every place as the sender knows it; of what was made, where it was to stand."""
    sources = Sources(traced)
    # What was made is wrong by what it was made of, which is told by its own place.
    own = [fault for fault in faults if sources.place_of(fault.path) is not None]
    faults = own or faults
    places = [sources.place_of(fault.path) or spelled(sent, fault.path) for fault in faults]
    told = "; ".join(dict.fromkeys(f"{place}: {fault.text}" for place, fault in zip(places, faults, strict=True)))
    return Refused(Reason.FORMAT, f"not valid FHIR R4: {told}", places[0])


def patient(message: Message | Refused, settings: Settings) -> str | None:
    """Return the national number of the patient that a message is about, the record system's own numbers resolved.

    None where no usable number names one and the same patient, and for a message that is delivered nowhere.
    """
    if isinstance(message, Refused) or message.undelivered is not None:
        return None
    try:
        return check_patient(message.tree, settings.allowed_numbers)[0]
    except Refused:
        return None


def prepare() -> None:
    """Have ready what messages like the package's examples need, so that none of these waits for it.

    What another type of FHIR needs is made when a message has it, in a fraction of a millisecond. Of all types together it is
    more than all else that is kept of FHIR, and next to none of it is ever used.
    """
    of = Settings(frozenset(TEST_KINDS))
    examples = resources.files("translators").joinpath("examples")
    for surface, folder in (("vkp-r4", examples), ("vkp-stu3", examples.joinpath("stu3"))):
        for file in folder.iterdir():
            if file.name.endswith(".json"):
                translate(decode(file.read_bytes()), surface, jft.SERVICE, of)
            elif file.name.endswith(".xml"):
                translate(xml_codec.decode(file.read_bytes(), stu3_elements())[0], surface, jft.SERVICE, of)


def _translation(
    message: Message, calls: tuple[Call, ...] = (), refusal: Refused | None = None, numbers: tuple[str, ...] = ()
) -> Translation:
    return Translation(
        information=message.information,
        repairs=message.repairs,
        losses=message.losses,
        derived=message.derived,
        addressing=message.addressing,
        coverage=message.coverage,
        undelivered=message.undelivered,
        calls=calls,
        refusal=refusal,
        patient=numbers[0] if numbers else None,
        other_numbers=numbers[1:],
    )


def _refuse_losses(losses: tuple[Loss, ...], tolerated: tuple[str, ...]) -> None:
    """Raise `Refused` for a loss that the route does not tolerate, and for a modifier, which none can."""
    untolerated = [loss for loss in losses if is_modifier(loss.element) or not _is_tolerated(loss, tolerated)]
    if untolerated:
        paths = ", ".join(loss.path for loss in untolerated[:20])
        more = f" and {len(untolerated) - 20} more" if len(untolerated) > 20 else ""
        raise Refused(Reason.LOSS, f"would be lost: {paths}{more}", untolerated[0].path)


def _is_tolerated(loss: Loss, tolerated: tuple[str, ...]) -> bool:
    return any(loss.element == path or loss.element.startswith(f"{path}.") for path in tolerated)
