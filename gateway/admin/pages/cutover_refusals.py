"""Why a step of a cutover was refused, in the reader's words, at the field or the button that it is about; pure."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

from gateway.admin.pages.cutover_view import history
from gateway.admin.pages.plan_words import fault
from gateway.admin.pages.words import Words
from gateway.admin.problems import Code, Problem
from gateway.migration.cutover import CHANGEABLE, STARTABLE, Cutover, CutoverState

TOLD_HERE = (Code.BAD_REQUEST, Code.CONFLICT, Code.CHANGED_MEANWHILE)
"""What is refused so is told on the page itself."""
_FIELDS = {"reason": "wrong_reason", "comment": "wrong_comment", "typed": "wrong_typed"}
_OWN = "whoever wrote a plan"


@dataclass(frozen=True, slots=True)
class RefusedStep:
    """A step that somebody wanted to take."""

    action: str
    problem: Problem
    record: Cutover
    """As it is now."""
    stops: Sequence[str]
    """What keeps it from being switched, in the reader's words."""
    seen: str
    """The hash of the plan that was to be approved or rejected; empty for other steps."""


def why_not(w: Words, step: RefusedStep) -> dict[str, str]:
    """Return what to tell by `<action>-<field>`, or `<action>-all` where it is about no field."""
    problem = step.problem
    about = problem.detail.partition(":")[0] if problem.code is Code.BAD_REQUEST else ""
    if about in _FIELDS:
        return {f"{step.action}-{about}": w.text(_FIELDS[about])}
    if step.action == "postpone" and problem.code is not Code.CHANGED_MEANWHILE and step.record.state in CHANGEABLE:
        told = [fault(w, each) for each in problem.detail.split("; ")]
        if any(one.field == "at" for one in told):
            return {"postpone-at": " ".join(one.text for one in told if one.field == "at")}
        return {"postpone-all": " ".join(f"{one.text} {one.original}".strip() for one in told)}
    return {f"{step.action}-all": " ".join(_sentences(w, step))}


def _sentences(w: Words, step: RefusedStep) -> Sequence[str]:
    action, code, record = step.action, step.problem.code, step.record
    if step.problem.detail.startswith(_OWN):
        return [w.text("cut_own")]
    if action == "start" and code is Code.CONFLICT and record.state in STARTABLE:
        return [w.text("not-now-start"), *step.stops]
    if action == "rollback" and record.state is CutoverState.FINISHED:
        return [w.text("not_now_in_file")]
    if action in ("approve", "reject") and step.seen != record.hash:
        first = w.text("not_now_other_plan")
    else:
        first = w.text(code if code is Code.CHANGED_MEANWHILE else f"not-now-{action}")
    values = {"state": w.word("cut", record.state), **_last(w, record)}
    return [first, w.text("not_now_state").format_map(values)]


def _last(w: Words, record: Cutover) -> Mapping[str, str]:
    """Return what happened last, who did it and when."""
    last = history(w, record)[0]
    return {"what": last["what"], "by": last["by"], "at": w.time(last["at"])}
