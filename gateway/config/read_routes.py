"""What a route says about messages that go new: which losses it tolerates, when it answers, and what an outage means."""

from collections.abc import Mapping
from dataclasses import dataclass, replace
from functools import partial

from yaml import Node, SequenceNode

from gateway.config import schema, values, yaml_reader
from gateway.config.places import Place
from gateway.config.read_parties import Municipalities, Vendors
from gateway.config.routes import DAY, AnswerWhen, OnOutage, Route, Unclear
from gateway.config.yaml_reader import Fields, Reader, quoted
from gateway.model import MEMBERS, Group, Information, Mode
from translators.fhir.elements import r4

_DELIVERING = (Mode.NEW, Mode.CANARY)
_BELONG = {
    "losses": (*_DELIVERING, Mode.REHEARSE),
    **dict.fromkeys(("answer", "on_outage", "unclear", "acknowledge_within"), _DELIVERING),
    **dict.fromkeys(("share", "always", "never"), (Mode.CANARY,)),
    "sample": (Mode.REHEARSE,),
}
"""The modes of which a key says something."""


@dataclass(frozen=True, slots=True)
class Policies:
    """The policies of one route; what could not be read has its default, and a problem says so."""

    losses: tuple[str, ...]
    answer: AnswerWhen
    on_outage: OnOutage
    unclear: Unclear
    acknowledge_within: float
    hold_place: Place | None
    """Where it says that messages are held while a service is away."""


def refuse_strangers(reader: Reader, fields: Fields, mode: Mode) -> None:
    """Report keys that say nothing with the route's mode."""
    for name, modes in _BELONG.items():
        if mode not in modes and name in fields and not yaml_reader.is_unused(fields.value(name)):
            reader.error(fields.key(name), f'"{name}" belongs to {_named(modes)} only')


def policies(reader: Reader, fields: Fields, mode: Mode | None) -> Policies:
    """Read the policies of a route; None is a mode that could not be read, or is not read yet."""
    losses = fields.get("losses", partial(_losses, reader)) or ()
    answer = fields.get("answer", lambda node: reader.choice(node, "answer", list(AnswerWhen)))
    on_outage = fields.get("on_outage", lambda node: reader.choice(node, "on_outage", list(OnOutage)))
    unclear = fields.get("unclear", lambda node: reader.choice(node, "unclear", list(Unclear)))
    within = fields.get("acknowledge_within", partial(values.duration, reader))
    belong = mode is None or mode in _DELIVERING
    if belong:
        _check_together(reader, fields, answer, on_outage, unclear)
    is_held = belong and on_outage == OnOutage.HOLD
    return Policies(
        losses,
        AnswerWhen(answer or AnswerWhen.ACCEPTED),
        OnOutage(on_outage or OnOutage.REFUSE),
        Unclear(unclear or Unclear.QUARANTINE),
        within or DAY,
        reader.place(fields.value("on_outage")) if is_held else None,
    )


def _named(modes: tuple[Mode, ...]) -> str:
    *others, last = modes
    return f"modes {', '.join(others)} and {last}" if others else f"mode {last}"


def _check_together(
    reader: Reader, fields: Fields, answer: str | None, on_outage: str | None, unclear: str | None
) -> None:
    if answer == AnswerWhen.JOURNALED and on_outage == OnOutage.HOLD:
        text = (
            'answer "journaled" is not possible with on_outage "hold": what is held is answered before it is journaled'
        )
        reader.error(fields.value("answer"), text)
    if unclear == Unclear.RESEND and on_outage == OnOutage.REFUSE:
        text = 'unclear "resend" needs on_outage "hold": nothing is held that could be sent again, the sender repeats'
        reader.error(fields.value("unclear"), text)


def _losses(reader: Reader, node: Node) -> tuple[str, ...]:
    """Read paths whose loss is tolerated: a resource type, and the elements below it that are."""
    found = []
    for item in reader.items(node):
        path = reader.text(item)
        if path is not None and (kind := path.partition(".")[0]) not in r4().resources:
            reader.error(
                item,
                f"{yaml_reader.quoted(kind)} is not a resource of FHIR R4; a loss is named like DetectedIssue.note",
            )
        elif path is not None:
            found.append(path)
    return tuple(found)


@dataclass(frozen=True, slots=True)
class Shares:
    """What a canary takes over and a rehearsal looks at; what could not be read has its default, and a problem says so."""

    share: float | None
    always: tuple[str, ...]
    """Senders as envelopes call them."""
    never: tuple[str, ...]
    sample: float


def shares(reader: Reader, fields: Fields, mode: Mode | None, senders: Mapping[str, str] | None) -> Shares:
    """Read the shares of a route; `senders` is what envelopes call a sender by what the file may call it."""
    if mode is Mode.CANARY and "share" not in fields:
        reader.error(fields.value("mode"), 'mode "canary" needs "share": the part of the patients that goes new')
    share = fields.get("share", partial(values.percent, reader))
    always = fields.get("always", partial(_senders, reader, senders)) or {}
    never = fields.get("never", partial(_senders, reader, senders)) or {}
    for key, item in never.items():
        if key in always:
            reader.error(item, f'{quoted(key)} stands in "always" and in "never"')
    sample = fields.get("sample", partial(values.percent, reader))
    return Shares(share, tuple(always), tuple(never), 1.0 if sample is None else sample)


def _senders(reader: Reader, senders: Mapping[str, str] | None, node: Node) -> dict[str, Node]:
    """Return what envelopes call the senders, each with where it stands."""
    found: dict[str, Node] = {}
    for item in reader.items(node):
        if (name := reader.known(item, "sender", senders)) is not None:
            found.setdefault((senders or {}).get(name, name), item)
    return found


LATER_MODES = frozenset({Mode.COMPARE, Mode.EPJ})

_NAMES = (*Information, *Group)


@dataclass(frozen=True, slots=True)
class ParsedRoute:
    """A route whose selectors could be read."""

    route: Route
    mode_place: Place
    sound: bool
    """False when its mode is not one that can be judged; a problem says so already."""
    hold_place: Place | None = None
    """Where it says that messages are held while a service is away."""


@dataclass(frozen=True, slots=True)
class Routes:
    """The routes in the order of the file."""

    parsed: tuple[ParsedRoute, ...]
    doubtful: frozenset[str] | None
    """Municipalities whose cells cannot be judged, because selectors of a route could not be read; None: all."""

    def certain(self, municipality: str) -> bool:
        """Tell whether every route that may cover the municipality could be read."""
        return self.doubtful is not None and municipality not in self.doubtful


def routes(reader: Reader, node: Node, municipalities: Municipalities, vendors: Vendors) -> Routes:
    """Read every route; the names it uses must be known."""
    if not isinstance(node, SequenceNode) and not yaml_reader.is_unused(node):
        reader.items(node)
        return Routes((), None)
    parsed: list[ParsedRoute] = []
    doubtful: frozenset[str] | None = frozenset()
    for item in reader.items(node):
        fields = reader.fields(item, schema.ROUTE)
        route = _route(reader, item, fields, municipalities, vendors) if fields else None
        if route is not None:
            parsed.append(route)
        elif doubtful is not None:
            meant = _meant(reader, fields, municipalities) if fields else None
            doubtful = None if meant is None else doubtful | {meant}
    return Routes(tuple(parsed), doubtful)


def _meant(reader: Reader, fields: Fields, municipalities: Municipalities) -> str | None:
    """Return the only municipality that a route with unreadable selectors can be for."""
    word = fields.value("municipality").value
    if "municipality" not in fields or not isinstance(word, str) or municipalities.names is None:
        return None
    return word if word in municipalities.names else reader.nearest("municipality", word, municipalities.names) or word


def _route(
    reader: Reader, node: Node, fields: Fields, municipalities: Municipalities, vendors: Vendors
) -> ParsedRoute | None:
    before = len(reader.problems)
    municipality = fields.get("municipality", lambda at: reader.known(at, "municipality", municipalities.names))
    vendor = fields.get("vendor", lambda at: reader.known(at, "vendor", vendors.systems))
    system = _system(reader, fields, vendor, vendors)
    named = fields.get("information", partial(_information, reader))
    readable = len(reader.problems) == before and not fields.strange
    mode = _mode(reader, fields)
    text = _text(reader, fields, mode)
    judged = None if mode in LATER_MODES else mode
    if judged is not None:
        refuse_strangers(reader, fields, judged)
    found = policies(reader, fields, judged)
    parts = shares(reader, fields, judged, vendors.sender_keys)
    if not readable:
        return None
    information, grouped = named if named is not None else (None, frozenset())
    place = reader.place(node)
    route = Route(municipality, vendor, system, information, grouped, mode or Mode.CLOSED, text, found.losses, place)
    sound, mode_place = judged is not None, reader.place(fields.value("mode"))
    return ParsedRoute(_with(route, found, parts), mode_place, sound, found.hold_place)


def _with(route: Route, found: Policies, parts: Shares) -> Route:
    return replace(
        route,
        answer=found.answer,
        on_outage=found.on_outage,
        unclear=found.unclear,
        acknowledge_within=found.acknowledge_within,
        share=parts.share,
        always=parts.always,
        never=parts.never,
        sample=parts.sample,
    )


def _system(reader: Reader, fields: Fields, vendor: str | None, vendors: Vendors) -> str | None:
    if "system" not in fields:
        return None
    if "vendor" not in fields:
        reader.error(fields.key("system"), '"system" needs "vendor"')
    if vendor is None:
        return None
    return fields.get(
        "system",
        lambda at: reader.known(at, f"system of {vendor}", vendors.systems[vendor] if vendors.systems else None),
    )


def _information(reader: Reader, node: Node) -> tuple[frozenset[Information], frozenset[Information]] | None:
    """Read types and groups; return all that are meant, and those that only a group means."""
    items = reader.items(node) if isinstance(node, SequenceNode) else [node]
    if not items:
        reader.error(node, "no information is named; leave the key out to mean every type")
        return None
    words = [word for item in items if (word := reader.known(item, "information", _NAMES)) is not None]
    types = frozenset(Information(word) for word in words if word not in MEMBERS)
    groups = frozenset().union(*(MEMBERS[Group(word)] for word in words if word in MEMBERS))
    return types | groups, groups - types


def _mode(reader: Reader, fields: Fields) -> Mode | None:
    word = fields.get("mode", lambda node: reader.choice(node, "mode", list(Mode)))
    mode = None if word is None else Mode(word)
    if mode in LATER_MODES:
        reader.error(fields.value("mode"), f'mode "{mode}" is not supported yet')
    return mode


def _text(reader: Reader, fields: Fields, mode: Mode | None) -> str | None:
    """Read what a closed route tells the sender; no other has it."""
    if mode is Mode.CLOSED and "text" not in fields:
        reader.error(fields.value("mode"), 'mode "closed" needs "text": what the sender is told')
    if mode not in {Mode.CLOSED, None} and "text" in fields:
        reader.error(fields.key("text"), '"text" belongs to mode closed only')
    return fields.get("text", reader.text)
