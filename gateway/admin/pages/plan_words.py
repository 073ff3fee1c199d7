"""Plans in the reader's words: what is wrong with one, what a preflight found, which cells change; texts/*/plans.toml has the sentences."""

import re
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from gateway.admin.pages.words import Count, Words
from gateway.migration.cutover import Stopped
from gateway.migration.preflight import Finding
from gateway.migration.traffic import ChangedTraffic
from gateway.model import Information
from gateway.routing.diff import CellState, Change, Effect, Whose

Said = Callable[[Words, Any], str | Count]
_FAULTS: tuple[tuple[str, str, str], ...] = (
    ("new-generation", "mode", r"(?P<mode>\w+) is not possible where epj\.generation is new"),
    ("not-read", "mode", r"(?P<mode>\w+) needs (?P<service>\w+) in epj\.reads of (?P<municipality>[^:]+): "),
    (
        "not-fed",
        "mode",
        r"(?P<mode>\w+) needs (?P<service>\w+) in epj\.feeds(?:, or epj\.upstream,)? of (?P<municipality>[\w.-]+)",
    ),
    ("no-record-upstream", "mode", r"(?P<mode>\w+) needs epj\.upstream of (?P<municipality>[^:]+): "),
    ("no-services-from", "mode", r"(?P<mode>\w+) needs services_from of (?P<municipality>[^:,]+), "),
    ("no-okt", "mode", r"services_from: okt of (?P<municipality>\S+) needs okt"),
    ("no-service", "mode", r"(?P<mode>\w+) needs an upstream of kind (?P<service>\w+)"),
    ("service-status", "mode", r"(?P<mode>\w+) needs a service with status .* and (?P<name>\S+) has (?P<status>\w+)"),
    ("no-service-yet", "information", r"there is no information service yet"),
    ("not-for-retrieval", "information", r"(?P<mode>\w+) is not possible for retrieval"),
    ("not-for-journaling", "information", r"(?P<mode>\w+) is not possible for journaling"),
    ("no-municipality", "municipality", r'a route of a cutover needs "municipality"'),
    ("unknown", "sender", r"unknown (?P<what>municipality|vendor|system|sender|mode|information type)"),
    ("share-missing", "share", r'mode "canary" needs "share"'),
    ("share-range", "share", r"percent"),
    ("both-lists", "never", r'stands in "always" and in "never"'),
    ("resend-needs-hold", "unclear", r'unclear "resend" needs on_outage "hold"'),
    ("hold-exchange", "on_outage", r'on_outage "hold" is not possible with grant "token_exchange"'),
    ("answer-later", "answer", r'answer "journaled"|"answer"'),
    ("text-missing", "text", r'mode "closed" needs "text"|text: 1 to'),
    ("of-other-modes", "mode", r'"\w+" belongs to'),
    ("loss-path", "losses", r"is not a resource of FHIR R4; a loss"),
    ("equally-specific", "information", r"two changes are equally specific on one cell"),
    ("identity-number", "text", r"a national identity number$|without national identity numbers"),
    ("name", "name", r"^name: letters"),
    ("changes", "municipality", r"^set: 1 to (?P<number>\d+) changes"),
    ("gate-messages", "gate_messages", r"^gate\.rehearsed_at_least"),
    ("gate-clean", "gate_clean", r"^gate\.clean_at_least"),
    ("gate-days", "gate_days", r"^gate\.within"),
    ("back-failed", "back_failed", r"^roll_back_when\.failed_at_least"),
    ("back-held", "back_held", r"^roll_back_when\.held_at_least"),
    ("back-messages", "back_messages", r"^roll_back_when\.of_at_least"),
    ("back-minutes", "back_minutes", r"^roll_back_when\.within"),
    ("approvals", "approvals", r"^approvals: 0 to"),
    ("production-gate", "gate_messages", r"^gate: required in environment production"),
    ("production-back", "back_failed", r"^roll_back_when: required in environment production"),
    ("production-approvals", "approvals", r"^approvals: required in environment production"),
    ("reuse-port", "mode", r"needs a postgresql store"),
    ("canary-key", "mode", r"keys\.canary"),
    ("time-missing", "at", r"expected a time with its offset"),
    ("time-gone", "at", r"does not exist in Europe/Oslo"),
    ("time-twice", "at", r"comes twice in Europe/Oslo"),
    ("time-past", "at", r" is past$"),
    ("time-frozen", "at", r"^nothing switches from .*: (?P<reason>[^:]*)$"),
)
"""By what each kind of fault is known: its name, the field of the wizard that it is about, and a pattern of its text."""
_COMPILED = tuple((name, field, re.compile(pattern)) for name, field, pattern in _FAULTS)
_OF_CHANGE = re.compile(r"set\[(\d+)\]: (.*)", re.DOTALL)


@dataclass(frozen=True, slots=True)
class PlanFault:
    """One thing that is wrong with a plan."""

    change: int | None
    """Which of the changes it is about; None: the plan as a whole."""
    field: str
    """The field of the wizard."""
    text: str
    original: str = ""
    """As programs are told it, where there is no sentence for it."""


def fault(w: Words, told: str) -> PlanFault:
    """Return a fault of a plan, or of a time, in the reader's words."""
    of_change = _OF_CHANGE.fullmatch(told)
    change, rest = (int(of_change[1]), of_change[2]) if of_change else (None, told)
    for name, field, pattern in _COMPILED:
        if found := pattern.search(rest):
            return PlanFault(change, field, _sentence(w, f"plan-fault-{name}", found.groupdict()))
    return PlanFault(change, "mode" if of_change else "name", w.word("plan-fault", "other"), rest)


def finding(w: Words, one: Finding | Stopped) -> str:
    """Return what a preflight found, or what refused a cutover, in the reader's words; one without a sentence as programs are told it."""
    values = dict(one.values)
    if "rehearsed" in values and "clean" in values:
        rehearsed, clean = values["rehearsed"], values["clean"]
        values["share"] = (
            clean / rehearsed if isinstance(clean, int) and isinstance(rehearsed, int) and rehearsed else 0.0
        )
    if values.get("change", "") is None:
        return _sentence(w, "pre-more", {"number": values["more"]})
    return _sentence(w, f"pre-{one.code}", values, one.text)


def change(w: Words, one: Change) -> str:
    """Return cells that change, from what to what, in one line."""
    return f"{cells(w, one)}: {state(w, one.before)} → {state(w, one.after)}"


def cells(w: Words, one: Change) -> str:
    """Return which cells change alike."""
    return ", ".join((place(w, one), whose(w, one), types(w, one)))


def place(w: Words, one: Change) -> str:
    """Return the municipality of a change."""
    return w.municipality(one.municipality) if one.municipality else w.word("cut", "elsewhere")


def whose(w: Words, one: Change) -> str:
    """Return whose messages a change is about."""
    if one.whose is Whose.SYSTEM:
        return w.whole_system(one.vendor, one.system)
    return w.vendor(None) if one.whose is Whose.EVERY else w.word("cut", "strangers")


def types(w: Words, one: Change) -> str:
    """Return the types of a change."""
    if len(one.information) > len(Information):
        return w.types(None)
    return w.listed([w.type(each) if each else w.word("cut", "untyped") for each in one.information])


def state(w: Words, one: CellState) -> str:
    """Return how far cells have come."""
    if one.mode is None:
        return w.word("cut", "no-route")
    return w.mode(one.mode) if one.share is None else f"{w.mode(one.mode)} ({w.percent(one.share)})"


def effect(one: ChangedTraffic) -> str:
    """Return what a change does to its messages, as texts name it; of a canary only a part goes to the new service."""
    return "partly" if one.effect is Effect.GOES_NEW and one.change.after.new_part < 1 else one.effect.value


def sentences(w: Words, found: Sequence[ChangedTraffic]) -> list[str]:
    """Return one sentence for each municipality: how many vendors and messages a day go where."""
    together: dict[tuple[str, str], list[ChangedTraffic]] = {}
    for one in found:
        if one.change.municipality is not None:
            together.setdefault((one.change.municipality, effect(one)), []).append(one)
    told = []
    for (municipality, said), alike in together.items():
        vendors = {vendor for one in alike for vendor in one.vendors}
        messages = w.plural("messages", round(sum(one.per_day + one.untyped_per_day for one in alike)))
        # Some of a type that was not read may be of another.
        is_most = any(one.untyped_per_day for one in alike)
        values = {
            "municipality": municipality,
            "vendors": w.plural("vendors", len(vendors)),
            "messages": w.text("up_to").replace("…", messages) if is_most else messages,
        }
        is_quiet = not any(one.per_day or one.untyped_per_day for one in alike)
        told.append(_sentence(w, f"{'quiet' if is_quiet else 'effect-of'}-{said}", values))
    return told


def _sentence(w: Words, key: str, values: Mapping[str, Any], otherwise: str = "") -> str:
    family, _, name = key.rpartition("-")
    text = w.text_if_any(key) or otherwise or name or family
    if not w.text_if_any(key):
        return text
    said = text.format_map({each: _value(w, each, value) for each, value in values.items()})
    return said[:1].upper() + said[1:] if text.startswith(_BEGINNING) else said


def _value(w: Words, name: str, value: Any) -> str | Count:
    if name in _LISTS:
        return _LISTS[name](w, value)
    if isinstance(value, str) or name not in _VALUES:
        return _WORDS[name](w, value) if name in _WORDS else str(value)
    return _VALUES[name](w, value)


_BEGINNING = ("{name}", "{service}")
"""With these a sentence begins that needs a capital."""
_WORDS: Mapping[str, Said] = {
    "municipality": lambda w, value: w.municipality(value),
    "mode": lambda w, value: w.mode(value),
    "layer": lambda w, value: w.word("layer", value),
    "status": lambda w, value: w.word("service-status", value),
    "service": lambda w, value: w.word("service", value),
    "name": lambda w, value: w.upstream(value),
    "source": lambda w, value: w.word("source", value),
    "fault": lambda w, value: fault(w, value).text,
    "what": lambda w, value: w.word("unknown", value),
}
_LISTS: Mapping[str, Said] = {
    "types": lambda w, value: w.types(value),
    "senders": lambda w, value: w.listed(list(value)),
}
_VALUES: Mapping[str, Said] = {
    **dict.fromkeys(
        ("number", "rehearsed", "clean", "asked", "given", "needed", "days"), lambda w, value: w.count(value)
    ),
    **dict.fromkeys(("at", "begins", "ends"), lambda w, value: w.time(value)),
    **dict.fromkeys(("clean_asked", "share"), lambda w, value: w.percent(value)),
    "within": lambda w, value: w.span(value),
    "vendors": lambda w, value: w.listed([w.vendor(each) for each in value]),
    "change": change,
}
