"""A plan as the form of the page gives it: one change, and a gate and a rollback rule where something goes new; pure."""

import re
from collections.abc import Mapping, Sequence

from gateway.control.cutover_plans import Submitted
from gateway.control.refusals import Code, Refusal
from gateway.ledger.cutovers import Change
from gateway.migration.cells import GOES_NEW
from gateway.migration.cutover_plan import GateRequest, RollBackRequest
from gateway.model import Information, Mode

Form = Mapping[str, Sequence[str]]
_DAY, _MINUTE = 86_400.0, 60.0
_WHOLE = re.compile(r"[0-9]{1,6}")
_HUNDREDTHS = re.compile(r"[0-9]{1,3}(?:[.,][0-9]{1,4})?")
_LONGEST = 500


def text_of(form: Form, name: str) -> str:
    """Return what was written into a field; empty where nothing was."""
    return form.get(name, [""])[0].strip()


def submitted_of(form: Form) -> Submitted:
    """Return the plan that a form asks for; raises `Refusal`, which repeats nothing of what was written."""
    if written := text_of(form, "from_file"):
        return Submitted(from_file=_short(written, "from_file"))
    change = _change(form)
    goes_new = change.mode in GOES_NEW
    approvals = _whole(form, "approvals")
    if not approvals:
        raise _wrong("approvals")
    return Submitted(
        name=_short(text_of(form, "name"), "name"),
        at=_short(text_of(form, "at"), "at"),
        set=(change,),
        gate=_gate(form) if goes_new else None,
        roll_back_when=_watch(form) if goes_new else None,
        approvals=approvals,
    )


def _change(form: Form) -> Change:
    vendor, _, system = text_of(form, "sender").partition("/")
    try:
        mode = Mode(text_of(form, "mode"))
        types = tuple(Information(each).value for each in form.get("information", []))
    except ValueError:
        raise _wrong("mode, information") from None
    if not types:
        raise Refusal(Code.BAD_REQUEST, "information: at least one type")
    share = _part(form, "share") if mode is Mode.CANARY else None
    return Change(
        municipality=text_of(form, "municipality") or None,
        vendor=vendor or None,
        system=system or None,
        information=types,
        mode=mode,
        text=(text_of(form, "text") or None) if mode is Mode.CLOSED else None,
        share=share,
    )


def _gate(form: Form) -> GateRequest | None:
    messages, clean, days = _whole(form, "gate_messages"), _part(form, "gate_clean"), _whole(form, "gate_days")
    if messages is None and clean is None and days is None:
        return None
    if messages is None or clean is None or days is None:
        raise Refusal(Code.BAD_REQUEST, "gate: all of its numbers, or none")
    return GateRequest(rehearsed_at_least=messages, clean_at_least=clean, within=days * _DAY)


def _watch(form: Form) -> RollBackRequest | None:
    failed, of, minutes = _part(form, "back_failed"), _whole(form, "back_messages"), _whole(form, "back_minutes")
    if failed is None and of is None and minutes is None:
        return None
    if failed is None or of is None or minutes is None:
        raise Refusal(Code.BAD_REQUEST, "roll_back_when: all of its numbers, or none")
    return RollBackRequest(failed_at_least=failed, of_at_least=of, within=minutes * _MINUTE)


def _whole(form: Form, name: str) -> int | None:
    text = text_of(form, name)
    if text and not _WHOLE.fullmatch(text):
        raise _wrong(name)
    return int(text) if text else None


def _part(form: Form, name: str) -> float | None:
    """Return hundredths as a part of 1, without what binary numbers add."""
    text = text_of(form, name)
    if text and not _HUNDREDTHS.fullmatch(text):
        raise _wrong(name)
    return float(f"{text.replace(',', '.')}e-2") if text else None


def _short(text: str, name: str) -> str:
    if not text or len(text) > _LONGEST or not text.isprintable():
        raise _wrong(name)
    return text


def _wrong(name: str) -> Refusal:
    return Refusal(Code.BAD_REQUEST, f"{name}: not as expected")
