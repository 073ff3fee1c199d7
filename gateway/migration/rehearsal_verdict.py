"""What the new side would have made of one message: it is translated as mode `new` would do it, checked, and thrown away."""

from datetime import datetime

from msgspec import Struct

from gateway.config.upstreams import SERVICES
from gateway.errors import Failure, Fault, fault_of
from gateway.ledger.findings import general
from gateway.ledger.rehearsals import RehearsalVerdict
from gateway.model import Finding, Group
from gateway.pipeline.identify import Identified, Identifier
from gateway.pipeline.translate import ClaimedSettings, findings_of
from gateway.routing.route import Route
from translators.contract import Refused, Translation
from translators.fhir.conform import conform
from translators.fhir.json_codec import decode
from translators.fhir.plan import within_r4
from translators.information import information_of
from translators.source import Source
from translators.translate import translate

_SERVICE = SERVICES[Group.JOURNALING]
"""What journalings are written for."""


class Rehearsal(Struct, frozen=True):
    """One message that is to be rehearsed; it is forgotten as soon as it was."""

    claimed: ClaimedSettings
    identified: Identified
    route: Route | None
    received: datetime
    body: bytes
    reference: str
    """By which a sender's developer and an operator speak of it."""


class JudgedMessage(Struct, frozen=True):
    """What came of a rehearsal."""

    verdict: RehearsalVerdict
    reason: str
    """Names rules and places and holds no value of the message; "" for what is clean."""
    information: str
    """"" where the message does not say."""
    findings: tuple[Finding, ...] = ()


def judge(rehearsal: Rehearsal) -> JudgedMessage:
    """Return what mode `new` would have made of a message; never raises for what the message holds."""
    content = Identifier.content(rehearsal.body, rehearsal.identified)
    if content.failure is not None:
        return JudgedMessage(RehearsalVerdict.SKIPPED, "unreadable", "")
    information = information_of(content.tree, rehearsal.identified.code_history) or ""
    try:
        _check_access(rehearsal)
        sender, municipality = (
            rehearsal.claimed.sender(rehearsal.identified.envelope),
            rehearsal.identified.municipality,
        )
        if municipality is not None and sender is not None:
            rehearsal.identified.surface.check_parties(content.tree, municipality, sender)
    except Failure as failure:
        reason = told(failure.fault, failure.diagnostics)
        findings = (Finding("fault", failure.fault.value, detail=failure.diagnostics),)
        return JudgedMessage(RehearsalVerdict.REFUSED, reason, information, findings)
    wanted = rehearsal.claimed.settings(rehearsal.identified, rehearsal.route, rehearsal.received)
    translation = translate(content.tree, rehearsal.identified.surface.NAME, _SERVICE, wanted, content.repairs)
    verdict, reason = verdict_of(translation)
    return JudgedMessage(verdict, reason, information, findings_of(translation))


def told(fault: Fault, text: str) -> str:
    """Return a reason that is alike for messages that fail alike: without indexes and counts, and not too long."""
    return general(f"{fault.value}: {text}")


def _check_access(rehearsal: Rehearsal) -> None:
    """Raise `Failure` where the access register has not whom the token claims; whether that is true VKP has checked."""
    municipality, sender = rehearsal.identified.municipality, rehearsal.claimed.sender(rehearsal.identified.envelope)
    if sender is None:
        raise Failure(Fault.NO_ACCESS, "The sender is not registered here")
    if municipality is None:
        raise Failure(Fault.NO_ACCESS, "The municipality is not registered here")
    if not sender.serves(municipality.key):
        raise Failure(Fault.NO_ACCESS, "The sender is not registered for the municipality")


def verdict_of(translation: Translation) -> tuple[RehearsalVerdict, str]:
    """Return the verdict on a translation, and its reason as `JudgedMessage` has it."""
    refusal = translation.refusal
    if refusal is not None:
        return RehearsalVerdict.REFUSED, told(fault_of(refusal.reason), str(refusal))
    if translation.undelivered is not None:
        return RehearsalVerdict.SKIPPED, translation.undelivered
    if len(translation.calls) != 1:
        return RehearsalVerdict.REFUSED, told(
            Fault.NOT_SUPPORTED, "The message cannot be sent to an information service yet"
        )
    defect = defect_of(translation.calls[0].body)
    if defect is not None:
        return RehearsalVerdict.DEFECT, general(defect)
    rules = sorted({repair.rule for repair in translation.repairs})
    return (RehearsalVerdict.REPAIRED, general(", ".join(rules))) if rules else (RehearsalVerdict.CLEAN, "")


def defect_of(body: bytes) -> str | None:
    """Return what is wrong with a body that we made, by the element tables of FHIR R4; None where nothing is."""
    try:
        tree = decode(body)
        kind = tree.get("resourceType") if isinstance(tree, dict) else None
        source = Source(tree, kind if isinstance(kind, str) else "Resource")
        conform(source.root, within_r4())
        losses, _ = source.finish("not an element of FHIR R4 here")
    except Refused as refusal:
        return str(refusal)
    found = [f"{repair.path}: {repair.rule}" for repair in source.repairs]
    found += [f"{loss.path}: {loss.reason}" for loss in losses]
    return found[0] if found else None
