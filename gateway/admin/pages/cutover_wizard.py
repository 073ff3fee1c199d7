"""The wizard for a plan: where, what, when and a look at it, one step after another, with what was written carried along."""

import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from typing import Any

from aiohttp import web  # noqa: TID251 - the admin port is no part of the data plane

from gateway.admin.context import LedgerContext, reach
from gateway.admin.cutover_access import By, may_everywhere
from gateway.admin.cutover_facts import CutoverFacts
from gateway.admin.cutovers import Cutovers, check_state
from gateway.admin.endpoints import Endpoint, Needs, person
from gateway.admin.municipalities import Municipalities
from gateway.admin.pages import cutover_draft as drafts
from gateway.admin.pages import prefilled, route_fields
from gateway.admin.pages.cutover_draft import Draft, Wrong
from gateway.admin.pages.cutover_view import effects_view, parts_view
from gateway.admin.pages.forms import Form, field, form_of, iso_of, see_other, version_of
from gateway.admin.pages.plan_words import PlanFault, fault
from gateway.admin.pages.render import page, words
from gateway.admin.pages.words import Words
from gateway.admin.problems import Code, PreconditionFailed, Problem
from gateway.auth.people.principal import Principal
from gateway.auth.people.rbac import Action
from gateway.ledger import cutovers as store
from gateway.migration.cells import Cells
from gateway.migration.cutover import CHANGEABLE, Cutover
from gateway.migration.cutover_plan import CutoverRequest, Plan, faults, of_wanted
from gateway.migration.schedule import TimeRefused, instant_of, wall, why_not
from gateway.migration.standing import by_name
from gateway.model import JOURNALING, RETRIEVAL, Information, Mode
from gateway.routing.route import KINDS, WORDS

_STEP = re.compile(r"(cells|choices):([0-9]{1,3})|conditions|look")
_OF_CELLS = ("municipality", "sender", "information", "mode")
_NEW, _CHANGE = "/cutovers/new", "/cutovers/{name}/change"


@dataclass(frozen=True, slots=True)
class _Step:
    """Where somebody is: about which change, where it is about one."""

    name: str
    number: int = 0

    @classmethod
    def of(cls, text: str, draft: Draft) -> "_Step":
        found = _STEP.fullmatch(text)
        if found is None:
            return cls("cells")
        return cls(found[1] or found[0], min(int(found[2] or 0), len(draft.changes) - 1))

    def __str__(self) -> str:
        return f"{self.name}:{self.number}" if self.name in ("cells", "choices") else self.name


@dataclass(frozen=True, slots=True)
class _State:
    """What is shown: a draft at a step, with what is wrong at its fields, and beside them."""

    draft: Draft
    step: _Step
    wrong: Mapping[str, str]
    others: tuple[PlanFault, ...] = ()
    before: Cutover | None = None
    """The cutover whose plan is changed."""
    version: str = ""


class CutoverWizard:
    """The pages of the wizard: for a new plan, and for another one of a cutover that is there."""

    def __init__(
        self, context: LedgerContext, cutovers: Cutovers, facts: CutoverFacts, municipalities: Municipalities
    ) -> None:
        self._context = context
        self._cutovers = cutovers
        self._facts = facts
        self._municipalities = municipalities

    def endpoints(self) -> list[Endpoint]:
        """Return the endpoints for people."""
        plan = Needs.role(Action.PLAN, person=True)
        return [
            Endpoint("GET", _NEW, self._begin, plan),
            Endpoint("POST", _NEW, self._go_on, plan),
            Endpoint("GET", _CHANGE, self._begin_change, plan),
            Endpoint("POST", _CHANGE, self._go_on, plan),
        ]

    async def _begin(self, request: web.Request) -> web.Response:
        draft = drafts.of_query({name: request.query.getall(name) for name in request.query})
        return await self._show(request, _State(draft, _Step("cells"), {}))

    async def _begin_change(self, request: web.Request) -> web.Response:
        before = await self._changeable(request)
        state = _State(drafts.of_plan(before.plan), _Step("conditions"), {}, before=before, version=str(before.version))
        return await self._show(request, state)

    async def _changeable(self, request: web.Request) -> Cutover:
        record = await self._cutovers.shown(person(request), request.match_info["name"])
        if not may_everywhere(person(request), record.cells, Action.PLAN):
            raise Problem(Code.FORBIDDEN, f"{Action.PLAN} in every municipality that it names")
        check_state(record, CHANGEABLE)
        return record

    async def _go_on(self, request: web.Request) -> web.Response:
        try:
            return await self._taken(request, await form_of(request))
        except ValueError:
            # No page of ours sends such a form: a field that a step has checked is another by now.
            raise Problem(Code.BAD_REQUEST, "the form is not one of these pages") from None

    async def _taken(self, request: web.Request, form: Form) -> web.Response:
        draft = drafts.of_form(form)
        before = await self._changeable(request) if "name" in request.match_info else None
        state = _State(draft, _Step.of(field(form, "step"), draft), {}, before=before, version=field(form, "version"))
        action, _, number = field(form, "do").partition(":")
        at = min(int(number), len(draft.changes) - 1) if number.isdecimal() and len(number) < 4 else 0
        match action:
            case "stay":
                # In another language.
                pass
            case "back":
                state = replace(state, step=_back(state))
            case "add":
                more = draft.with_more()
                state = replace(state, draft=more, step=_Step("cells", len(more.changes) - 1))
            case "edit":
                state = replace(state, step=_Step("cells", at))
            case "remove":
                left = draft.without(at)
                state = replace(state, draft=left, step=_Step("conditions" if left.changes != ({},) else "cells"))
            case "submit":
                return await self._submit(request, form, state)
            case _:
                state = await self._next(request, state)
        return await self._show(request, state)

    async def _next(self, request: web.Request, state: _State) -> _State:
        """Return the step that follows, or the same with what is wrong."""
        wrong, others = await self._checked(request, state)
        if wrong or others:
            return replace(state, wrong=wrong, others=others)
        step, draft = state.step, state.draft
        if step.name == "cells" and route_fields.fields_of(draft.of(step.number, "mode")):
            return replace(state, step=_Step("choices", step.number))
        if step.name in ("cells", "choices"):
            return replace(state, step=_Step("conditions"), draft=await self._with_suggestions(person(request), state))
        return replace(state, step=_Step("look"), draft=await self._named(state))

    async def _submit(self, request: web.Request, form: Form, state: _State) -> web.Response:
        """Check every step once more, then submit; what is wrong is shown where it belongs."""
        for step in _every_step(state.draft):
            there = replace(state, step=step)
            wrong, others = await self._checked(request, there)
            if wrong or others:
                return await self._show(request, replace(there, wrong=wrong, others=others))
        by, wanted = By.of(request), drafts.submitted(state.draft)
        if not state.draft.said("step_back") and await self._steps_back(by, state):
            text = words(request).text("wrong_step_back")
            return await self._show(request, replace(state, step=_Step("look"), wrong={"step_back": text}))
        try:
            if state.before is None:
                record, _ = await self._cutovers.submit(by, wanted)
            else:
                record = await self._cutovers.change(by, state.before.name, wanted, version_of(form))
        except PreconditionFailed as stale:
            changed = PlanFault(None, "name", words(request).text("wiz_changed_meanwhile"))
            response = await self._show(request, replace(state, step=_Step("look"), others=(changed,)))
            response.set_status(stale.status)
            return response
        except Problem as problem:
            if problem.code not in (Code.CONFLICT, Code.BAD_REQUEST):
                raise
            told = tuple(fault(words(request), each) for each in problem.detail.split("; "))
            return await self._show(request, replace(state, step=_Step("look"), others=told))
        return see_other(f"/cutovers/{record.name}")

    async def _steps_back(self, by: By, state: _State) -> bool:
        record, _ = await self._facts.of_plan(by, drafts.submitted(state.draft))
        return any(one.code == "step-back-not-meant" for one in await self._facts.outlook(record))

    async def _checked(self, request: web.Request, state: _State) -> tuple[dict[str, str], tuple[PlanFault, ...]]:
        """Return what is wrong with the fields of a step, and what else is."""
        w, draft, step = words(request), state.draft, state.step
        if step.name == "look":
            return {}, ()
        found = {one.field: w.text(one.key) for one in self._wrong(person(request), draft, step)}
        if found:
            late = self._wrong_time(w, draft) if step.name == "conditions" else {}
            return {**found, **late}, ()
        if step.name == "conditions":
            return await self._wrong_plan(request, state)
        faults_ = [fault(w, each) for each in self._faults(draft, step.number, is_of_cells=step.name == "cells")]
        # A mode that has fields of its own lacks them until its step.
        mine = [one for one in faults_ if step.name == "choices" or one.field in _OF_CELLS]
        shown = _OF_CELLS if step.name == "cells" else route_fields.fields_of(draft.of(step.number, "mode"))
        at_fields = {one.field: one.text for one in reversed(mine) if one.field in shown and not one.original}
        return at_fields, tuple(one for one in mine if one.field not in at_fields)

    def _wrong(self, who: Principal, draft: Draft, step: _Step) -> list[Wrong]:
        if step.name == "cells":
            choices = self._choices(who)
            places, senders = [one.key for one in choices["municipalities"]], [key for key, _ in choices["senders"]]
            return list(drafts.wrong_cells(draft, step.number, places, senders))
        return list(
            drafts.wrong_choices(draft, step.number) if step.name == "choices" else drafts.wrong_conditions(draft)
        )

    def _faults(self, draft: Draft, number: int, *, is_of_cells: bool) -> list[str]:
        """Return what is wrong with one change alone, by the rules of the file."""
        fields = draft.changes[number]
        if is_of_cells:
            fields = {name: values for name, values in fields.items() if name in _OF_CELLS}
        alone = replace(draft, changes=(fields,), plan={"name": ("draft",), "approvals": ("1",)})
        told = faults(_plan(alone, "2026-12-01T06:00"), self._context.config)
        return [each for each in told if each.startswith("set[0]")]

    async def _wrong_plan(self, request: web.Request, state: _State) -> tuple[dict[str, str], tuple[PlanFault, ...]]:
        w, draft, name = words(request), state.draft, state.draft.said("name")
        found = self._wrong_time(w, draft)
        try:
            instant_of(iso_of(draft.said("at")))
        except TimeRefused:
            return found, ()
        if state.before is None and await self._cutovers.is_known(name):
            found = {"name": w.text("wrong_name_taken"), **found}
        told = [fault(w, each) for each in faults(_plan(draft, iso_of(draft.said("at"))), self._context.config)]
        found |= {one.field: one.text for one in told if one.change is None and one.field in drafts.OF_PLAN}
        return found, tuple(one for one in told if one.change is not None or one.field not in found)

    def _wrong_time(self, w: Words, draft: Draft) -> dict[str, str]:
        try:
            at = instant_of(iso_of(draft.said("at")))
        except TimeRefused as refused:
            return {"at": fault(w, str(refused)).text}
        why = why_not(at, self._context.now(), self._context.config.freezes)
        return {"at": fault(w, why[0]).text} if why else {}

    async def _with_suggestions(self, who: Principal, state: _State) -> Draft:
        """Return the draft with a time, a name and conditions that its cells can meet, but for what somebody wrote."""
        draft = state.draft
        if not draft.said("at"):
            at = wall(prefilled.planned_for(self._context.now()))
            draft = replace(draft, plan={**draft.plan, "at": (at,)})
        draft = await self._named(replace(state, draft=draft))
        by = draft.said("suggested")
        told = drafts.suggested_fields(int(by)) if by.isdecimal() else {}
        if not draft.goes_new or any(draft.said(name) != value for name, value in told.items()) or by == drafts.BY_HAND:
            return draft
        told = drafts.suggested_fields(await self._volume(who, draft))
        return replace(draft, plan={**draft.plan, **{name: (value,) for name, value in told.items()}})

    async def _named(self, state: _State) -> Draft:
        """Return the draft with a name that says what it is, unless somebody wrote one, or it has one."""
        draft, name = state.draft, state.draft.said("name")
        if state.before is not None or name not in ("", draft.said("named")):
            return draft
        free = suggested = drafts.suggested_name(draft, iso_of(draft.said("at")).partition("T")[0])
        number = 2
        while await self._cutovers.is_known(free):
            free, number = f"{suggested}-{number}", number + 1
        return replace(draft, plan={**draft.plan, "name": (free,), "named": (free,)})

    async def _volume(self, who: Principal, draft: Draft) -> int:
        """Return the messages of a week of its cells, as the pages of their municipalities count them; of no known type where there are no others."""
        changes = drafts.submitted(replace(draft, plan={})).set or ()
        cells, found = Cells(store.routes("draft", changes)), 0
        for place in filter(None, cells.places):
            known = [(one, one.cell) for one in (await self._municipalities.now_of(who, place)).cells]
            found += prefilled.weekly(
                [
                    one
                    for one, cell in known
                    if cells.route(place, cell.vendor, cell.system, cell.information.value) is not None
                ]
            )
        return found or await self._facts.volume(who, changes)

    async def _show(self, request: web.Request, state: _State) -> web.Response:
        w, draft, step = words(request), state.draft, state.step
        values: dict[str, Any] = {"effects": None, "parts": None, "sentences": ()}
        if step.name == "look":
            record, effects = await self._facts.of_plan(By.of(request), drafts.submitted(draft))
            values = effects_view(w, effects)
            values["look_time"] = w.time(record.at)
            values["parts"] = parts_view(w, await self._facts.outlook(record))
        is_wrong = bool(state.wrong or state.others)
        response = page(
            request,
            "cutover_wizard.html",
            status=400 if is_wrong else 200,
            kept_form="submit" if step.name == "look" else "next",
            draft=draft,
            step=step,
            wrong=state.wrong,
            others=state.others,
            before=state.before,
            version=state.version,
            hidden=_hidden(state),
            field_names=route_fields.fields_of(draft.of(step.number, "mode")),
            kinds=KINDS,
            value_words=WORDS,
            ticked=route_fields.senders(self._context.config, draft.of(step.number, "municipality")),
            **values,
            **(choices := self._choices(person(request))),
            sender_names=dict(choices["senders"]),
        )
        # A step that is not stored is not there for the browser's Back button. It has nothing of a patient.
        response.headers["Cache-Control"] = "private, no-cache"
        return response

    def _choices(self, who: Principal) -> dict[str, Any]:
        """Return what the fields let one choose from."""
        config, within = self._context.config, reach(who, Action.PLAN)
        places = [one for one in config.municipalities.values() if within is None or one.key in within]
        named = [
            (f"{vendor.key}/{key}" if key else vendor.key, f"{vendor.name}: {name}" if name else vendor.name)
            for vendor in by_name(config.vendors.values())
            for key, name in (("", ""), *vendor.systems.items())
        ]
        return {
            "municipalities": by_name(places),
            "senders": named,
            "modes": [each.value for each in Mode],
            "journaling": [each.value for each in Information if each in JOURNALING],
            "retrieval": [each.value for each in Information if each in RETRIEVAL],
        }


def _plan(draft: Draft, at: str) -> Plan:
    """Return the plan of a draft whose fields are as they should be, at a time that there is."""
    wanted = drafts.submitted(draft)
    values = {name: getattr(wanted, name) for name in CutoverRequest.__struct_fields__}
    return of_wanted(CutoverRequest(**{**values, "at": at}))


def _every_step(draft: Draft) -> Sequence[_Step]:
    changes = [_Step(name, number) for number in range(len(draft.changes)) for name in ("cells", "choices")]
    return [*changes, _Step("conditions")]


def _back(state: _State) -> _Step:
    draft, step = state.draft, state.step
    last = len(draft.changes) - 1
    match step.name:
        case "choices":
            return _Step("cells", step.number)
        case "look":
            return _Step("conditions")
        case "conditions":
            return _Step("choices" if route_fields.fields_of(draft.of(last, "mode")) else "cells", last)
        case _:
            return _Step("conditions") if last else _Step("cells")


def _hidden(state: _State) -> list[tuple[str, str]]:
    """Return the fields that the shown step carries along unseen."""
    draft, step = state.draft, state.step
    if step.name not in ("cells", "choices"):
        shown = drafts.OF_PLAN if step.name == "conditions" else ("step_back",)
        plan = [
            (name, value)
            for name, many in draft.plan.items()
            for value in many
            if name not in shown or name in ("suggested", "named")
        ]
        if step.name == "conditions":
            plan += [("step_back", draft.said("step_back"))] if draft.said("step_back") else []
            if not draft.goes_new:
                numbers = [name for name in drafts.OF_PLAN if name.startswith(("gate_", "back_"))]
                plan += [(name, draft.said(name)) for name in numbers]
        return [*draft.hidden(None, plan_is_shown=True), *plan]
    fields = _OF_CELLS if step.name == "cells" else route_fields.fields_of(draft.of(step.number, "mode"))
    return [*draft.hidden(step.number, plan_is_shown=False), *draft.kept(step.number, fields)]
