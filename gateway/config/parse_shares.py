"""How much of a cell a route of mode canary or rehearse takes: shares, senders on either side, samples."""

from collections.abc import Mapping
from dataclasses import dataclass
from functools import partial

from yaml import Node

from gateway.config import values
from gateway.config.nodes import quoted
from gateway.config.reader import Fields, Reader
from gateway.model import Mode


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
