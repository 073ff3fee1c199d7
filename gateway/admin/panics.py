"""Panics, as the API and the pages both turn them on and off: each with who and why, and with the way to roll back."""

from collections.abc import Sequence
from typing import Annotated, Any

import msgspec
from sqlalchemy import Connection

from gateway.admin.context import LedgerContext, reach
from gateway.admin.params import reason_of, row_of
from gateway.admin.problems import Code, Problem
from gateway.admin.set_rules import (
    Listed,
    check_reach,
    done,
    may_operate,
    may_view,
    new_name,
    only_holding,
    part_of,
    put,
    short_name,
    tell,
    text_of,
    told,
)
from gateway.auth.people.principal import Principal
from gateway.auth.people.rbac import Action
from gateway.ledger import overrides
from gateway.ledger.overrides import Listing, SetRule
from gateway.migration import panics
from gateway.migration.override_rules import shown
from gateway.migration.panics import last_switch
from gateway.model import Information
from gateway.routing.layers import Layer
from gateway.times import when_any

_CURSOR = "panic:"
_MOST_RULES = 10_000
"""Rules of panics that are looked through for one list."""
_Word = Annotated[str, msgspec.Meta(min_length=1, max_length=200)]


class PanicBody(msgspec.Struct, frozen=True, forbid_unknown_fields=True, kw_only=True):
    """What goes back to VKP at once: everything of one of these."""

    reason: str
    municipality: _Word | None = None
    """Short name or orgnr."""
    vendor: _Word | None = None
    information: Information | None = None
    text: str | None = None
    """What senders are told where VKP cannot answer."""


class Panics:
    """Each method raises `Problem`; what is shown or done is narrowed to the municipalities of the person's grants."""

    def __init__(self, desk: LedgerContext) -> None:
        self._desk = desk

    async def listed(self, who: Principal, asked: Listed) -> dict[str, Any]:
        """Return panics, the newest first."""
        within, skipped = reach(who, Action.VIEW), row_of(_CURSOR, asked.cursor) or 0
        listing = Listing(Layer.PANIC, within, only_holding(self._desk, asked), _MOST_RULES)
        together: dict[str, list[SetRule]] = {}
        for one in await self._desk.read(lambda each: overrides.listed(each, listing)):
            together.setdefault(one.name, []).append(one)
        some = list(together.values())[skipped : skipped + asked.limit + 1]
        return part_of("panics", [self.document(each) for each in some], asked, skipped, _CURSOR)

    async def one(self, who: Principal, name: str, action: Action) -> list[SetRule]:
        """Return the rules of a panic, ended or not, where someone may do this."""
        found = await self._desk.read(lambda each: overrides.named(each, Layer.PANIC, name))
        reaches = may_view if action is Action.VIEW else may_operate
        if not found or not reaches(who, found[0].route.municipality):
            raise Problem(Code.NOT_FOUND, f"no such panic where you {action}")
        return found

    async def set(self, who: Principal, asked: PanicBody, key: str | None = None) -> tuple[dict[str, Any], bool]:
        """Turn everything of a scope back; return the panic with its rollback, and whether it is new, as for overrides."""
        scope = panics.Scope(short_name(self._desk, asked.municipality), asked.vendor, asked.information)
        check_reach(who, scope.municipality)
        if problems := panics.problems_of(scope, self._desk.config):
            raise Problem(Code.BAD_REQUEST, "; ".join(problems))
        reason, text = reason_of(asked.reason), text_of("text", asked.text) or panics.CLOSED_TEXT
        name = new_name("p", who, key, asked)
        note = self._desk.note(who, "panic.on", name.name, reason)
        set_ = [
            SetRule(overrides.part(name.name, number), Layer.PANIC, route, reason, None, note.actor, note.at, None)
            for number, route in enumerate(panics.panic_routes(scope, self._desk.config, name.name, text), 1)
        ]
        known = await put(self._desk, set_, note, name)
        return {**self.document(known or set_), "rollback": await self._rollbacks(scope)}, not known

    async def end(self, who: Principal, before: Sequence[SetRule], reason: str) -> dict[str, Any]:
        """End every rule of a panic."""
        note = self._desk.note(who, "panic.off", before[0].name, reason_of(reason))
        ended = done(await self._desk.write(lambda each: overrides.end(each, Layer.PANIC, note.target, None, note)))
        tell(note)
        return self.document(ended)

    async def rollbacks(self, who: Principal, together: Sequence[SetRule]) -> list[dict[str, Any]]:
        """Offer to send back what the new service has of a panic's cells, in the municipalities where someone operates."""
        return await self._rollbacks(panics.scope_of(_first(together).route), reach(who, Action.OPERATE))

    def document(self, together: Sequence[SetRule]) -> dict[str, Any]:
        """Return a panic as it is shown, by all its rules."""
        first = _first(together)
        scope = msgspec.to_builtins(panics.scope_of(first.route))
        holds = first.holds(self._desk.now())
        shown_rules = [shown(one.route) for one in sorted(together, key=lambda one: one.id)]
        return {"id": first.name, "holds": holds, **scope, **told(first), "rules": shown_rules}

    async def _rollbacks(self, scope: panics.Scope, within: frozenset[str] | None = None) -> list[dict[str, Any]]:
        """Offer to send back what the new service has, for each municipality that may have sent something."""
        reached = panics.municipalities_of(scope, self._desk.config)
        names = [name for name in reached if within is None or name in within]

        def work(connection: Connection) -> list[float | None]:
            return [last_switch(connection, name, scope.vendor, scope.information) for name in names]

        moments = await self._desk.read(work)
        return [panics.rollback_of(scope, name, when_any(moment)) for name, moment in zip(names, moments, strict=True)]


def _first(together: Sequence[SetRule]) -> SetRule:
    """Return the rule of a panic that says its whole scope: the one that names no municipality where there is one."""
    return min(together, key=lambda one: (one.route.municipality is not None, one.id))
