"""What overrides and panics have in common: who reaches a rule, what is told of it, and how it is set in the ledger."""

from collections.abc import Sequence
from typing import Any, TypeVar

from aiohttp import web  # noqa: TID251 - the admin port is no part of the data plane

from gateway.admin.context import LedgerContext, tell
from gateway.admin.params import Page, ReasonBody, of_body, of_query, reason_of
from gateway.admin.problems import Code, PreconditionFailed, Problem
from gateway.auth.people.principal import Principal
from gateway.auth.people.rbac import Action, Where, may
from gateway.ledger import audit, overrides
from gateway.ledger.overrides import SetRule, Stale
from gateway.times import when_any

T = TypeVar("T")
REASONED = "why in `reason`, in the body or as a parameter"


class RulesQuery(Page, frozen=True, forbid_unknown_fields=True):
    """Which part of a list, and whether of what has ended too."""

    ended: bool = False


def only_holding(context: LedgerContext, asked: RulesQuery) -> float | None:
    """Return the moment at which what is listed must hold; None where all is wanted."""
    return None if asked.ended else context.now()


def told(rule: SetRule) -> dict[str, Any]:
    """Return what is told of a rule beside its route and its name."""
    moments = {name: when_any(getattr(rule, name)) for name in ("made_at", "until", "ended_at")}
    said = {name: getattr(rule, name) for name in ("reason", "made_by", "ended_by", "ended_why", "version")}
    return {**said, **moments}


async def put(context: LedgerContext, set_: Sequence[SetRule], note: audit.Note) -> None:
    """Set rules; raises `Problem`."""
    done(await context.write(lambda each: overrides.put(each, set_, note)))
    tell(note)


def done(found: T | overrides.Refused | Stale) -> T:
    """Return what was done; raises `Problem` where nothing was."""
    if isinstance(found, Stale):
        raise PreconditionFailed(found.version)
    if isinstance(found, overrides.Refused):
        raise Problem(Code.CONFLICT, found.reason)
    return found


def text_of(name: str, text: str | None) -> str | None:
    """Return a text as it is kept and shown; raises `Problem`, which calls it by `name`."""
    try:
        return None if text is None else reason_of(text)
    except Problem as refusal:
        raise Problem(refusal.code, refusal.detail.replace("reason", name, 1)) from None


def may_operate(who: Principal, municipality: str | None) -> bool:
    """Tell whether someone may set, change and end what names this municipality; None is what concerns all."""
    return may(who.grants, Action.OPERATE, municipality or Where.EVERYWHERE)


def may_view(who: Principal, municipality: str | None) -> bool:
    """Tell whether someone may see what names this municipality; what names none concerns, and is shown to, everybody."""
    return may(who.grants, Action.VIEW, municipality or Where.SOMEWHERE)


def check_reach(who: Principal, municipality: str | None) -> None:
    """Raise `Problem` where someone may not set what names this municipality."""
    if not may_operate(who, municipality):
        where = "there" if municipality else "in all municipalities"
        raise Problem(Code.FORBIDDEN, f"{Action.OPERATE} {where}")


async def reason_to_end(request: web.Request) -> str:
    """Return why something is ended: in the body, or as a parameter, since not everybody sends bodies with DELETE."""
    asked = await of_body(request, ReasonBody) if request.can_read_body else of_query(request, ReasonBody)
    return asked.reason
