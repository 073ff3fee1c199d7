"""VKP R4 as senders write it: repaired to what FHIR R4 allows, brought to today's codes and profiles, nothing lost unseen."""

from contextlib import suppress
from dataclasses import replace

from translators.bindings import has_code
from translators.codes import SenderCodes
from translators.contract import Coverage, Message, Reason, Refused, Settings, Tree, Undelivered
from translators.document import Entry, lone_entry, new_url, seed_of, wrapped
from translators.fhir.conform import conform
from translators.fhir.corrections import url_of_id
from translators.fhir.elements import r4
from translators.fhir.plan import within_r4
from translators.fhir.quick_check import right_leaves
from translators.information import information_of
from translators.links import relinked
from translators.made import made, settled
from translators.patient import resolve
from translators.source import Cursor, Source
from translators.stu3 import composition, encounter, flag, medication_dispense
from translators.stu3.parts import Part, carried
from translators.terminology import DISPENSE
from translators.undelivered import is_not_to_be_journaled


def read(tree: Tree, settings: Settings) -> Message:
    """Return the message in the inner language; raises `Refused` where it has no single right reading."""
    kind = tree.get("resourceType") if isinstance(tree, dict) else None
    if not isinstance(kind, str):
        raise Refused(Reason.FORMAT, "a FHIR resource with resourceType is expected")
    codes = SenderCodes(settings)
    if (
        isinstance(tree, dict)
        and not settings.local_numbers
        and (leaves := right_leaves(tree, codes.stands))
        and not _is_older(tree)
    ):
        information = information_of(tree, settings.code_history)
        return Message(tree, information, (), (), Coverage(leaves=leaves, carried=leaves))
    source = Source(tree, kind if kind in r4().resources else "Resource")
    repaired = conform(source.root, within_r4(), codes)
    codes.check_tables(repaired)
    losses, coverage = source.finish("not an element of FHIR R4 here")
    numbers, newly = resolve(repaired, settings.local_numbers, settings.received)
    if newly:
        coverage = replace(coverage, carried=coverage.carried - newly, repaired=coverage.repaired + newly)
    information = information_of(repaired, settings.code_history)
    message = Message(repaired, information, (*source.repairs, *numbers), losses, coverage)
    return _brought_up(message, codes, settings) if codes.others or _is_older(repaired) else message


def _resources(tree: dict[str, Tree]) -> list[dict[str, Tree]]:
    entries = tree.get("entry") if tree["resourceType"] == "Bundle" else None
    if not isinstance(entries, list):
        return [tree]
    found = [entry.get("resource") for entry in entries if isinstance(entry, dict)]
    return [resource for resource in found if isinstance(resource, dict)]


def _is_older(tree: dict[str, Tree]) -> bool:
    """Whether a message has what VKP R4 no longer has, what FHIR R4 has not, or a dispense that is not plainly one."""
    resources = _resources(tree)
    if any(_is_other(resource) for resource in resources):
        return True
    encounters = [resource for resource in resources if resource["resourceType"] == "Encounter"]
    if not encounters:
        return False
    root = Source(tree, "Bundle").root
    devices = _devices(root)
    cursors = [Source(one, "Encounter").root for one in encounters]
    return any(
        encounter.is_device(participant.at("individual"), devices)
        for cursor in cursors
        for participant in cursor.each("participant")
    )


def _is_other(resource: dict[str, Tree]) -> bool:
    """Whether a resource is of another type today, or has to be looked at more closely."""
    match resource["resourceType"]:
        case "Flag":
            return True
        case "MedicationDispense":
            is_done = resource.get("status") == "completed" and "performer" in resource
            category = resource.get("category")
            is_one = is_done and has_code(category, DISPENSE)
            is_denied = any(name in resource for name in medication_dispense.WHY_NOT)
            return not is_one or is_denied or medication_dispense.has_codes_of_others(category)
        case "Composition":
            at = Source(resource, "Composition").root
            codings = [one for concept in at.each("category") for one in concept.each("coding")]
            return any((one.text("system") or "").startswith(composition.CLASSES) for one in codings)
        case _:
            return False


def _devices(root: Cursor) -> frozenset[str]:
    """Return the links of the message's devices."""
    found = (
        entry.text("fullUrl") for entry in root.each("entry") if entry.text("resource", "resourceType") == "Device"
    )
    return frozenset(link for link in found if link is not None)


def _brought_up(message: Message, codes: SenderCodes, settings: Settings) -> Message:
    """Return the message with today's resources in the place of what older profiles had."""
    kind = str(message.tree["resourceType"])
    links, count = relinked(message.tree, _becoming(message.tree, codes)) if kind == "Bundle" else ((), 0)
    counted = message.coverage
    counted = replace(counted, carried=counted.carried - count, repaired=counted.repaired + count)
    source = Source(message.tree, kind, by_parts=True)
    undelivered = _undelivered(source.root, codes, settings)
    if undelivered is not None:
        used = replace(message.coverage, used=message.coverage.carried)
        return replace(message, coverage=used, addressing=(source.root.path,), undelivered=undelivered)
    newer = _Newer(source.root, codes, settings)
    tree = newer.bundle() if kind == "Bundle" else newer.lone()
    found = settled(tree, source.whole)
    losses, coverage = source.finish_after(counted, found, "VKP R4 has no place for it")
    return replace(
        message,
        tree=tree,
        repairs=(*message.repairs, *links, *source.repairs),
        losses=(*message.losses, *losses),
        coverage=coverage,
        derived=found.derived,
    )


def _becoming(bundle: dict[str, Tree], codes: SenderCodes) -> dict[int, str]:
    """Return which entries become resources of another type."""
    held = [entry.at("resource") for entry in Source(bundle, "Bundle").root.each("entry")]
    return {index: "DetectedIssue" for index, at in enumerate(held) if at is not None and _becomes_alert(at, codes)}


def _becomes_alert(at: Cursor, codes: SenderCodes) -> bool:
    if at.text("resourceType") != "MedicationDispense":
        return at.text("resourceType") == "Flag"
    # What says nothing of the kind is refused where the message is made anew.
    with suppress(Refused):
        return medication_dispense.newer_event_of(at, codes).kind == "alert"
    return False


def _undelivered(root: Cursor, codes: SenderCodes, settings: Settings) -> Undelivered | None:
    found = [entry.at("resource") for entry in root.each("entry")] or [root]
    resources = [at for at in found if at is not None]
    events = [
        medication_dispense.newer_event_of(at, codes)
        for at in resources
        if at.text("resourceType") == "MedicationDispense"
    ]
    tests = [event.kind == "test" for event in events]
    if any(tests) and not (all(tests) and len(tests) == len(found)):
        raise Refused(Reason.FORMAT, "a test and something else in one message", f"{root.path}.entry")
    if any(tests):
        return "test"
    is_other = is_not_to_be_journaled(resources, lambda at: composition.not_journaled(at, codes), settings)
    return "not-to-be-journaled" if is_other else None


class _Newer:
    """Makes today's resources of one message."""

    def __init__(self, root: Cursor, codes: SenderCodes, settings: Settings) -> None:
        self._root = root
        self._codes = codes
        self._settings = settings
        self._devices = _devices(root)

    def lone(self) -> dict[str, Tree]:
        """Return the resource itself, or a document where it became several."""
        root = self._root
        whole = root.value if isinstance(root.value, dict) else {}
        lone = lone_entry(whole, seed_of(whole))
        entries = self._resource(Part(root, lone.link, lone.url))
        is_same = len(entries) == 1 and entries[0].kind == whole["resourceType"]
        return entries[0].resource if is_same else wrapped(entries, self._settings)

    def bundle(self) -> dict[str, Tree]:
        """Return the Bundle with its entries in their order, and what was made of them after those."""
        entries: list[Tree] = []
        added: list[Entry] = []
        whole = self._root.value if isinstance(self._root.value, dict) else {}
        seed = seed_of(whole)
        for index, entry in enumerate(self._root.each("entry")):
            at = entry.at("resource")
            if at is None:
                entries.append(entry.carry())
                continue
            link = entry.text("fullUrl") or _link(at, seed, index)
            first, *more = self._resource(Part(at, link, None))
            fields = {**entry.rest_of_fields("resource"), "resource": first.resource}
            if more and "fullUrl" not in fields:
                fields = {"fullUrl": made(link, "full-url-of-the-id"), **fields}
            entries.append(fields)
            added += more
        entries += [{"fullUrl": entry.url, "resource": entry.resource} for entry in added]
        return {**self._root.rest_of_fields("entry"), "entry": entries}

    def _resource(self, part: Part) -> list[Entry]:
        match part.kind:
            case "Flag":
                return flag.renewed(part, self._codes)
            case "Encounter":
                return encounter.newer(part, self._devices, self._codes)
            case "Composition":
                return [composition.newer(part, self._codes)]
            case "MedicationDispense":
                return self._dispense(part)
        result = carried(part.at)
        if part.kind == "DetectedIssue" and (code := part.at.at("code")) is not None:
            result["code"] = flag.concept_of(code, self._codes)
        return [Entry(part.link, part.url, result)]

    def _dispense(self, part: Part) -> list[Entry]:
        event = medication_dispense.newer_event_of(part.at, self._codes)
        if event.kind == "alert":
            return medication_dispense.alert(part, event.code or "", superseded=DISPENSE)
        if event.code is not None:
            return medication_dispense.renewed(part, event, of_stu3=False)
        medication_dispense.refuse_unsuccessful(part.at)
        return [Entry(part.link, part.url, carried(part.at))]


def _link(at: Cursor, seed: str, index: int) -> str:
    """Return the URL of an entry that has none, for what is made of it to refer to."""
    own = at.text("id")
    return url_of_id(str(at.text("resourceType")), own) if own is not None else new_url(seed, f"entry {index}")
