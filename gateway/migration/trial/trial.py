"""What the gateway would do with one message that a person brings, told step by step; pure, and nothing of it is kept."""

from collections.abc import Collection
from dataclasses import replace
from datetime import datetime

from msgspec import Struct, structs

from gateway.config.directory import Directory, envelope_of
from gateway.config.model import Config
from gateway.config.upstreams import SERVICES
from gateway.errors import Failure, fault_of
from gateway.ledger.rehearsals import RehearsalVerdict
from gateway.migration.rehearsal_verdict import told, verdict_of
from gateway.migration.trial.guess import NOBODY, Parties, parties_of, surface_of
from gateway.migration.trial.lines import Column, message_lines, result_lines
from gateway.model import Envelope, Group, Information
from gateway.pipeline.canary import share_of
from gateway.pipeline.translate import allowed_numbers, settings
from gateway.routing.explain import Considered
from gateway.routing.table import Decision, RouteTable
from gateway.surfaces.base import Surface
from gateway.surfaces.registry import SURFACES
from translators.contract import Reason, Refused, Settings, Translation, Tree
from translators.information import information_of
from translators.national_number import TEST_KINDS
from translators.translate import Traced, patient, read, traced

_SERVICE = SERVICES[Group.JOURNALING]
_MOST = 20
"""Rules and routes that are told of."""


class TrialRequest(Struct, frozen=True):
    """A message and what is said of it; None is guessed from the message. Never shown whole: it is anybody's."""

    data: bytes
    surface: str | None = None
    municipality: str | None = None
    """Short name."""
    sender: str | None = None
    """As the configuration has it."""

    def __repr__(self) -> str:
        return "TrialRequest(...)"


class TrialContext(Struct, frozen=True):
    """By what a message is decided and translated."""

    config: Config
    table: RouteTable
    canary: bytes | None
    now: datetime
    within: Collection[str] | None
    """The municipalities that whoever asks may view; None is all."""


class Refusal(Struct, frozen=True):
    """How a sender would be told that a message is refused."""

    fault: str
    code: str
    """VKP's."""
    text: str
    """For a person who uses the sender's system."""
    diagnostics: str
    path: str | None


class Trial(Struct, frozen=True):
    """What became of a message."""

    surface: str
    municipality: str | None
    sender: str | None
    guessed: frozenset[str]
    """Which of `surface`, `municipality` and `sender` were guessed."""
    information: str | None
    translation: Translation
    verdict: RehearsalVerdict
    reason: str
    """As rehearsals are counted by it."""
    refusal: Refusal | None
    """Why the new side would refuse it; None where it would not."""
    decision: Decision | None
    """None where the municipality is not known."""
    considered: tuple[Considered, ...]
    is_canary: bool
    """Whether a canary decided, so that the mode is the side that the patient is on."""
    message: Column
    result: Column
    is_synthetic: bool = False
    """Whether a number was taken for a good one that only test environments allow."""

    def __repr__(self) -> str:
        return "Trial(...)"


def tried(asked: TrialRequest, world: TrialContext) -> Trial:
    """Return what the gateway would make of a message; never raises for what the message holds."""
    surface = next((one for one in SURFACES if asked.surface == one.NAME), None) or surface_of(asked.data)
    directory = Directory(world.config)
    try:
        tree, repairs = surface.read(asked.data, None)
    except Refused as refusal:
        unread = Translation(refusal=refusal)
        return _told(asked, world, surface, _named(asked, world, NOBODY), refusal.tree, Traced(unread, {}))
    parties = _named(asked, world, parties_of(tree, surface, directory, world.within))
    envelope = _envelope(surface, tree, parties)
    wanted = settings(
        world.config,
        allowed_numbers(world.config),
        municipality=parties.municipality,
        sender=parties.sender,
        route=world.table.decide(envelope, world.now).route if parties.municipality is not None else None,
        received=world.now,
    )
    found = traced(tree, surface.NAME, _SERVICE, wanted, repairs)
    is_synthetic = False
    if found.translation.refusal is not None and found.translation.refusal.reason is Reason.PATIENT:
        # What people try are synthetic persons, whom production refuses: that must not hide all the rest.
        also = replace(wanted, allowed_numbers=wanted.allowed_numbers | TEST_KINDS)
        again = traced(tree, surface.NAME, _SERVICE, also, repairs)
        left = again.translation.refusal
        is_synthetic = left is None or left.reason is not Reason.PATIENT
        found, wanted = (again, also) if is_synthetic else (found, wanted)
    envelope = _placed(envelope, tree, surface, wanted, world)
    made = _told(asked, world, surface, parties, tree, found, envelope)
    return structs.replace(made, is_synthetic=is_synthetic)


def _told(  # noqa: PLR0913, PLR0917 - what is known in the end
    asked: TrialRequest,
    world: TrialContext,
    surface: Surface,
    parties: Parties,
    tree: Tree,
    found: Traced,
    envelope: Envelope | None = None,
) -> Trial:
    translation, config = found.translation, world.config
    elsewhere = _elsewhere(surface, tree, parties) if envelope is not None else None
    verdict, reason = verdict_of(translation)
    if elsewhere is not None:
        verdict, reason = RehearsalVerdict.REFUSED, told(elsewhere.fault, elsewhere.diagnostics)
    decision, considered = _decided(world, envelope, parties)
    municipality, sender = parties.municipality, parties.sender
    said = {"surface": asked.surface, "municipality": asked.municipality, "sender": asked.sender}
    return Trial(
        surface=surface.NAME,
        municipality=municipality.key if municipality else None,
        sender=sender.key if sender else None,
        guessed=frozenset(name for name, value in said.items() if value is None),
        information=envelope.information if envelope else None,
        translation=translation,
        verdict=verdict,
        reason=reason,
        refusal=_refusal(config, translation, elsewhere),
        decision=decision,
        considered=considered,
        is_canary=decision is not None and decision.is_canary,
        message=message_lines(tree, translation),
        result=result_lines(found.result, translation),
    )


def _decided(
    world: TrialContext, envelope: Envelope | None, parties: Parties
) -> tuple[Decision | None, tuple[Considered, ...]]:
    """Return the decision, and the rules and routes that may be told of: none that names another municipality."""
    if envelope is None or parties.municipality is None:
        return None, ()
    named = (None, parties.municipality.key)
    considered = world.table.explain(envelope, world.now).considered
    told_of = [one for one in considered if one.route.municipality in named]
    return world.table.decide(envelope, world.now), tuple(sorted(told_of, key=lambda one: not one.chosen)[:_MOST])


def _named(asked: TrialRequest, world: TrialContext, guessed: Parties) -> Parties:
    """Return whom a message is from and for: as whoever asks says, else as it says itself."""
    config = world.config
    municipality = config.municipalities.get(asked.municipality or "") or guessed.municipality
    if municipality is None and world.within is not None and len(world.within) == 1:
        municipality = config.municipalities.get(next(iter(world.within)))
    sender = next((one for one in config.senders if one.key == asked.sender), None) or guessed.sender
    return Parties(municipality, sender)


def _envelope(surface: Surface, tree: Tree, parties: Parties) -> Envelope:
    named = information_of(tree, parties.sender.code_history if parties.sender else ())
    information = Information(named) if named else None
    return envelope_of(surface.NAME, parties.municipality, parties.sender, information, Group.JOURNALING)


def _placed(envelope: Envelope, tree: Tree, surface: Surface, wanted: Settings, world: TrialContext) -> Envelope:
    """Return the envelope with where the patient stands, where a canary asks."""
    if world.canary is None or not world.table.decide(envelope, world.now).is_canary:
        return envelope
    number = patient(read(tree, surface.NAME, wanted), wanted)
    return envelope if number is None else structs.replace(envelope, share=share_of(world.canary, number))


def _elsewhere(surface: Surface, tree: Tree, parties: Parties) -> Failure | None:
    """Return why a message cannot be for those whom it is tried for: it names others itself."""
    if parties.municipality is None or parties.sender is None:
        return None
    try:
        surface.check_parties(tree, parties.municipality, parties.sender)
    except Failure as failure:
        return failure
    return None


def _refusal(config: Config, translation: Translation, elsewhere: Failure | None) -> Refusal | None:
    refused = translation.refusal
    if elsewhere is not None:
        fault, text, path = elsewhere.fault, elsewhere.diagnostics, None
    elif refused is not None:
        fault, text, path = fault_of(refused.reason), refused.text, refused.path
    else:
        return None
    wording = config.wordings[fault]
    return Refusal(fault.value, wording.code, wording.text, text, path)
