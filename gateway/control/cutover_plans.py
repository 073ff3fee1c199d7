"""A plan as somebody asks for it: of routes.yaml by its name, or whole; checked against the configuration."""

from typing import Annotated

import msgspec

from gateway.config.model import Config
from gateway.control.refusals import Code, Refusal
from gateway.ledger import cutovers as store
from gateway.migration.cutover_plan import (
    CutoverRequest,
    GateRequest,
    Plan,
    RollBackRequest,
    faults,
    of_file,
    of_wanted,
)
from gateway.migration.schedule import TimeRefused

_Word = Annotated[str, msgspec.Meta(min_length=1, max_length=200)]


class Submitted(msgspec.Struct, frozen=True, forbid_unknown_fields=True, kw_only=True):
    """A plan, or the name of one that is written in routes.yaml."""

    from_file: _Word | None = None
    name: _Word | None = None
    at: _Word | None = None
    set: tuple[store.Change, ...] | None = None
    gate: GateRequest | None = None
    roll_back_when: RollBackRequest | None = None
    approvals: Annotated[int, msgspec.Meta(ge=1)] = 1


def planned(wanted: Submitted, config: Config) -> Plan:
    """Return the plan that is meant; raises `Refusal`."""
    try:
        plan = _of_file(wanted, config) if wanted.from_file is not None else _of_body(wanted)
    except TimeRefused as error:
        raise Refusal(Code.BAD_REQUEST, f"at: {error}") from None
    except ValueError:
        raise Refusal(Code.BAD_REQUEST, "set: an information type that nobody knows") from None
    if wrong := faults(plan, config):
        raise Refusal(Code.BAD_REQUEST, "; ".join(wrong))
    return plan


def _of_file(wanted: Submitted, config: Config) -> Plan:
    if msgspec.structs.replace(wanted, from_file=None) != Submitted():
        raise Refusal(Code.BAD_REQUEST, "from_file stands alone")
    written = config.cutovers.get(wanted.from_file or "")
    if written is None:
        raise Refusal(Code.NOT_FOUND, "routes.yaml has no cutover of that name")
    return of_file(written)


def _of_body(wanted: Submitted) -> Plan:
    if wanted.name is None or wanted.at is None or wanted.set is None:
        raise Refusal(Code.BAD_REQUEST, "expected: name, at and set; or from_file")
    fields = {name: getattr(wanted, name) for name in CutoverRequest.__struct_fields__}
    return of_wanted(CutoverRequest(**fields))
