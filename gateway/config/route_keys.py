"""The keys that a route may have: what each means, what reads it, and with which modes it says something."""

import re
from collections.abc import Mapping
from dataclasses import dataclass
from functools import partial
from typing import Any

from yaml import MappingNode, Node, ScalarNode

from gateway.config import values
from gateway.config.upstreams import PmdUpstream
from gateway.config.yaml_nodes import MAP, STR, quoted
from gateway.config.yaml_reader import Key, Reader, must, section
from gateway.model import GOES_NEW, Mode
from gateway.routing.route import AcceptedDifference, AnswerWhen, OnOutage, Unclear, ValueKind, policies_of
from translators.comparison import DifferenceKind
from translators.fhir.elements import r4


@dataclass(frozen=True, slots=True)
class PolicyKey(Key):
    """A key that says something of messages with some modes only; `gateway.routing.route.Policies` has a field of its name."""

    modes: tuple[Mode, ...] = ()


def _losses(reader: Reader, node: Node) -> tuple[str, ...]:
    """Read paths whose loss is tolerated: a resource type, and the elements below it that are."""
    found = []
    for item in reader.items(node):
        path = reader.text(item)
        if path is not None and (kind := path.partition(".")[0]) not in r4().resources:
            text = f"{quoted(kind)} is not a resource of FHIR R4; a loss is named like DetectedIssue.note"
            reader.error(item, text)
        elif path is not None:
            found.append(path)
    return tuple(found)


def _senders(reader: Reader, node: Node) -> tuple[str, ...]:
    """Return what envelopes call the senders."""
    known = reader.senders or {}
    names = (reader.known(item, "sender", reader.senders) for item in reader.items(node))
    return tuple(dict.fromkeys(known.get(name, name) for name in names if name is not None))


ACCEPTED = section(
    "routes.*.accept_differences.*",
    must("path", "where: a resource type and element names below it, as Patient.telecom; what is below it too"),
    Key("kind", "missing (VKP alone says it), extra, different or iplos; left out: each"),
    must("until", "the last day on which it is accepted, as 2026-12-31; from then on it counts again", read=values.day),
    must("reason", "why it is known and harmless", read=Reader.text),
)
_AS_TEXT = re.compile(r"(?P<path>\S+) (?:(?P<kind>[a-z]+) )?(?P<until>\d{4}-\d\d-\d\d) (?P<reason>\S.*)")
"""An accepted difference in one line, as options and forms have it."""


def _share_with(reader: Reader, node: Node) -> tuple[str, ...]:
    kinds = (reader.choice(item, "kind of service to share with", (PmdUpstream.KIND,)) for item in reader.items(node))
    return tuple(dict.fromkeys(kind for kind in kinds if kind is not None))


def _path(reader: Reader, node: Node) -> str | None:
    path = reader.text(node)
    if path is not None and (kind := path.partition(".")[0]) not in r4().resources:
        reader.error(node, f"{quoted(kind)} is not a resource of FHIR R4; a difference is named like Patient.telecom")
        return None
    return path


def _accepted(reader: Reader, node: Node) -> tuple[AcceptedDifference, ...]:
    found = (_accepted_one(reader, item) for item in reader.items(node))
    return tuple(one for one in found if one is not None)


def _accepted_one(reader: Reader, item: Node) -> AcceptedDifference | None:
    line = _AS_TEXT.fullmatch(item.value) if isinstance(item.value, str) else None
    if line is not None:
        parts = {name: value for name, value in line.groupdict().items() if value is not None}
        item = MappingNode(
            MAP, [(_scalar(name, item), _scalar(value, item)) for name, value in parts.items()], item.start_mark
        )
    if (fields := reader.fields(item, ACCEPTED)) is None:
        return None
    kinds = list(DifferenceKind)
    path = fields.get("path", partial(_path, reader))
    kind = fields.get("kind", lambda node: reader.choice(node, "kind of difference", kinds))
    rest = reader.values(fields, "until", "reason")
    if path is None or None in rest.values():
        return None
    return AcceptedDifference(path, rest["until"].isoformat(), rest["reason"], kind or "")


def _scalar(text: str, at: Node) -> ScalarNode:
    return ScalarNode(STR, text, at.start_mark)


ROUTE = section(
    "routes.*",
    Key("municipality", "short name; left out: every one"),
    Key("vendor", "short name; left out: every one"),
    Key("system", "short name; needs vendor"),
    Key("information", "types, or the groups journaling and retrieval; left out: every type"),
    must("mode", "legacy, rehearse, compare, canary, new, epj or closed"),
    Key("text", "what a closed route tells the sender"),
    PolicyKey(
        "losses",
        "paths whose loss is tolerated; only with modes new, canary and rehearse",
        "[]",
        _losses,
        modes=(*GOES_NEW, Mode.REHEARSE),
    ),
    PolicyKey(
        "answer",
        "when a journaling is a success: accepted by the service, or journaled in the record; only with new and canary",
        "accepted",
        values.one_of("answer", AnswerWhen),
        modes=GOES_NEW,
    ),
    PolicyKey(
        "on_outage",
        "while the service is away: refuse, or hold (success once the message is safe here); only with new and canary",
        "refuse",
        values.one_of("on_outage", OnOutage),
        modes=GOES_NEW,
    ),
    PolicyKey(
        "unclear",
        "a held message that was sent and never answered: quarantine, or resend; only with new and canary",
        "quarantine",
        values.one_of("unclear", Unclear),
        modes=GOES_NEW,
    ),
    PolicyKey(
        "acknowledge_within",
        "an event that is not acknowledged by then is overdue; only with new and canary",
        "24h",
        values.duration,
        modes=GOES_NEW,
    ),
    PolicyKey(
        "share",
        "the part of the patients that a canary takes over, as 25%; a canary needs it",
        read=values.percent,
        modes=(Mode.CANARY,),
    ),
    PolicyKey(
        "always",
        "vkp-ids or HER-ids of senders whose patients a canary takes over all",
        "[]",
        _senders,
        modes=(Mode.CANARY,),
    ),
    PolicyKey(
        "never",
        "vkp-ids or HER-ids of senders of whom a canary takes nothing over",
        "[]",
        _senders,
        modes=(Mode.CANARY,),
    ),
    PolicyKey(
        "sample",
        "the part of the messages that a rehearsal looks at, as 10%",
        "100%",
        values.percent,
        modes=(Mode.REHEARSE,),
    ),
    PolicyKey(
        "share_with",
        "pmd: measurements (maledata) are shared with PMD too, once they are journaled; only with new and canary",
        "[]",
        _share_with,
        modes=GOES_NEW,
    ),
    PolicyKey(
        "accept_differences",
        "differences that a comparison may find and that are known; only with mode compare",
        "[]",
        _accepted,
        modes=(Mode.COMPARE,),
    ),
)
POLICY_KEYS = {key.name: key for key in ROUTE.keys.values() if isinstance(key, PolicyKey)}


def as_written(spec: Mapping[str, Any]) -> dict[str, Any]:
    """Return the keys of a route with their values as the file has them, of parts of 1 and seconds; None is left out."""
    found = {name: value for name, value in spec.items() if value is not None}
    for kind, unit, times in ((ValueKind.PART, "%", 100), (ValueKind.SECONDS, "s", 1)):
        for name in policies_of(kind):
            if isinstance(number := found.get(name), int | float):
                found[name] = f"{number * times:.6f}".rstrip("0").rstrip(".") + unit
    return found
