"""Families of the pages' texts, and the values that each has a text for: `mode-legacy` says what `legacy` is."""

from __future__ import annotations

from gateway.admin.pages.plan_words import _FAULTS
from gateway.admin.pages.words import MARKS, RULES
from gateway.config.model import Environment, Role
from gateway.errors import Fault
from gateway.ledger.records import MessageState
from gateway.ledger.rehearsals import RehearsalVerdict
from gateway.ledger.returns import ReturnStatus
from gateway.ledger.shares import NOT_SHARED, ShareState
from gateway.migration.cutover import APPROVAL, CHANGED, POSTPONED, RETIRED, CutoverState
from gateway.migration.overview import TROUBLES
from gateway.migration.preflight import Part
from gateway.migration.report import CellStatus
from gateway.migration.standing import Step
from gateway.migration.traffic import Side
from gateway.model import Group, Information, Mode
from gateway.outbox.order import DeliveryOutcome
from gateway.outbox.return_jobs import Progress, ReturnOutcome
from gateway.routing.diff import Effect
from gateway.routing.layers import Layer
from gateway.routing.route import KINDS, AnswerWhen, OnOutage, Unclear

GLOSSARY = (
    *("cell", "sender", "vendor", "information-type", "mode", "rehearsal", "canary", "cutover", "gate", "freeze"),
    *("rollback", "panic", "override", "quarantine", "held", "overdue", "unclear", "loss", "repair", "refusal"),
    *("derived", "message-log", "surface", "breaker", "mark", "clean", "record-system", "share"),
)
"""Words that a page explains where somebody stops at them; CONTEXT.md has them for developers."""
LOOK_AT = (
    *("upstream-away", "token-refused-there", "helseid-away", "node-gone", "nodes-differ"),
    *("clock-differs", "clock-doubted", "certificate-ends", "copy-fails", "messages-wait"),
)
"""What somebody should look at (health.py)."""
AWAY = ("vkp", "jft", "pit", "okt", "pmd", "epj", "helseid")
"""Kinds of services that may be away."""
ACTIONS = (
    "message.payload",
    "message.search",
    "message.resend",
    "quarantine.release",
    "quarantine.discard",
    "share.resend",
    "share.discard",
    "patient.forget",
    "replica.rebuild",
    "override.set",
    "override.change",
    "override.end",
    "panic.on",
    "panic.off",
    "cutover.submit",
    "cutover.change",
    "cutover.approve",
    "cutover.reject",
    "cutover.postpone",
    "cutover.start",
    "cutover.cancel",
    "cutover.rollback",
    "cutover.approved",
    "cutover.draining",
    "cutover.switched",
    "cutover.watching",
    "cutover.finished",
    "cutover.rolled_back",
    "cutover.missed",
    "cutover.refused",
    "cutover.retired",
    "rollback.send",
    "rollback.send-one",
    "rollback.stop",
    "routes.reload",
    "ledger.restored",
    "keys.accept-canary",
    "keys.accept-lost",
)
"""What the audit tells of."""
COMPARED = (Step.QUIET, Step.REHEARSE_ON, Step.PLAN, Step.MEND)
"""Steps that say something else of answers that are compared than of messages that are rehearsed."""
OF_ALL = {
    "action": ACTIONS,
    "answer-when": tuple(AnswerWhen),
    "away": AWAY,
    "effect": (*Effect, "partly"),
    "env": tuple(Environment),
    "fault": tuple(each.value for each in Fault),
    "fault-help": tuple(each.value for each in Fault),
    "finding": ("fault", "loss", "repair"),
    "findings": ("fault", "loss", "repair"),
    "findings-help": ("fault", "loss", "repair"),
    "gloss": GLOSSARY,
    "group": tuple(Group),
    "happened": ("set", "ended"),
    "key": ("payload", "lookup", "canary", "helseid", "client"),
    "layer": tuple(Layer),
    "letter": tuple(Mode),
    "look": LOOK_AT,
    "mark": (*MARKS, NOT_SHARED),
    "mode": tuple(Mode),
    "mode-help": tuple(Mode),
    "on-outage": tuple(OnOutage),
    "outcome": ("passed", "answered", *DeliveryOutcome),
    "rep": tuple(CellStatus),
    "return": tuple(ReturnOutcome),
    "role": tuple(Role),
    "rule": RULES,
    "rule-help": RULES,
    "share": tuple(ShareState),
    "short": tuple(Information),
    "state": tuple(MessageState),
    "step": tuple(Step),
    "todo": tuple(Step),
    "todo-compared": COMPARED,
    "trouble": TROUBLES,
    "surface": ("vkp-r4", "vkp-stu3", "vkp-soap", "unrecognised"),
    "type": tuple(Information),
    "unclear": tuple(Unclear),
    "upstream": ("vkp", "jft", "pit", "okt", "pmd", "epj", "file", "helseid"),
    "verdict": tuple(RehearsalVerdict),
    "waits": ("approve", "rolled-back", "missed", "refused", "unclear", "quarantined", "overdue"),
    "word": GLOSSARY,
}
PLAN_FAULTS = (*(name for name, _, _ in _FAULTS), "other")
_CODES = (
    *(
        "more",
        "plan-known",
        "plan-wrong",
        "plan-of-file",
        "plan-differs",
        "epj-reads",
        "service-none",
        "service-warning",
    ),
    *("service-status", "token-exchanged", "token-given", "token-not-here", "token-refused", "rollback-no-client"),
    *("rollback-possible", "rehearsals-not-asked", "rehearsals-passed", "rehearsals-failed", "rehearsals-nothing"),
    *(
        "rehearsals-types",
        "losses-stricter",
        "senders-seen",
        "senders-none",
        "senders-strange",
        "time-frozen",
        "time-past",
    ),
    *("time-ahead", "acknowledgements-overdue", "acknowledgements-in-time", "step-back-none", "step-back-meant"),
    *("step-back-not-meant", "rules-win", "rules-none", "approvals-missing", "approvals-given"),
    *("copies-answer", "copies-first", "copies-old"),
)
OF_PLANS = {
    "back-blocked": ("not-here", "not-yet"),
    "back-group": tuple(ReturnStatus),
    "choice": ("text", *KINDS),
    "choice-help": ("text", "share", "sample", "losses", "acknowledge_within", "accept_differences", "share_with"),
    "count": ("vendors", "messages", "held"),
    "cut": (*CutoverState, CHANGED, POSTPONED, APPROVAL, RETIRED, "elsewhere", "strangers", "untyped", "no-route"),
    "effect-of": (*Effect, "partly"),
    "event": ("submitted",),
    "job": tuple(Progress),
    "not-now": ("approve", "reject", "start", "cancel", "postpone", "rollback"),
    "own": ("approved", "draining", "switched", "rolled_back", "missed", "refused", RETIRED),
    "quiet": (*Effect, "partly"),
    "part": tuple(Part),
    "part-none": (Part.STOPS, Part.WARNS, Part.APPROVAL),
    "plan-fault": PLAN_FAULTS,
    "pre": _CODES,
    "service": ("vkp", "jft", "pit", "okt", "pmd", "epj"),
    "service-status": ("prototype", "test", "production"),
    "side": tuple(Side),
    "stage": ("submitted", "approved", "draining", "switched", "watching", "finished"),
    "source": ("pit", "okt", "file"),
    "unknown": ("municipality", "vendor", "system", "sender", "mode", "information type"),
}
"""About plans."""
