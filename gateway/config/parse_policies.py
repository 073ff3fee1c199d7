"""What a route says about messages that go new: which losses it tolerates, when it answers, and what an outage means."""

from dataclasses import dataclass
from functools import partial

from yaml import Node

from gateway.config import nodes, values
from gateway.config.places import Place
from gateway.config.reader import Fields, Reader
from gateway.config.routes import DAY, AnswerWhen, OnOutage, Unclear
from gateway.model import Mode
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
        if mode not in modes and name in fields and not nodes.is_unused(fields.value(name)):
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
                item, f"{nodes.quoted(kind)} is not a resource of FHIR R4; a loss is named like DetectedIssue.note"
            )
        elif path is not None:
            found.append(path)
    return tuple(found)
