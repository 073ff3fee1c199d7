"""What the forms for overrides bring, read as the API would have it; what is refused is never repeated."""

import re
from collections.abc import Mapping
from datetime import datetime
from typing import Any, TypeVar

import msgspec

from gateway.admin.overrides import OverrideBody
from gateway.admin.pages import route_fields
from gateway.admin.pages.forms import Form, field, iso_of, kept
from gateway.admin.pages.plan_words import fault
from gateway.admin.pages.words import Words
from gateway.admin.params import is_number_in
from gateway.admin.problems import Code, Problem
from gateway.migration.schedule import OSLO, TimeRefused, instant_of
from gateway.routing.route import POLICIES

Struct = TypeVar("Struct", bound=msgspec.Struct)

_EVERYWHERE = "*"
"""Chosen as a municipality: an override of all of them must be meant."""
_PLACE = re.compile(r"`\$\.(\w+)")


def override_of(form: Form) -> OverrideBody:
    """Return what a form sets; raises `Problem`."""
    given: dict[str, Any] = {name: field(form, name) for name in ("mode", "reason", "ticket")}
    given |= {name: field(form, name) or None for name in ("vendor", "system")}
    for name in route_fields.NAMES:
        if key := route_fields.wrong(name, form.get(name, ())):
            raise Problem(Code.BAD_REQUEST, f"{name}: {_SAID[key]}")
        value = route_fields.meant(name, form.get(name, ()))
        given[name] = list(value) if isinstance(value, tuple) else value
    given |= {"information": list(form.get("information", [])) or None, "until": _until(form)}
    place = field(form, "municipality")
    given["municipality"] = None if place == _EVERYWHERE else place
    return _checked(given, OverrideBody)


def filled(document: Mapping[str, Any]) -> dict[str, Any]:
    """Return the values of a form that would set an override as it is."""
    names = ("vendor", "system", "mode", "reason", "ticket")
    values: dict[str, Any] = {name: document.get(name) or "" for name in names}
    values["policies"] = {name: route_fields.shown(name, document.get(name)) for name in route_fields.NAMES}
    values["municipality"] = document.get("municipality") or _EVERYWHERE
    values["information"] = document.get("information") or []
    values["until"], values["until_was"] = wall_of(document["until"]), document["until"]
    return values


def written(form: Form) -> dict[str, Any]:
    """Return the values of a form as somebody wrote them, or as a link prefills them; empty where nothing was."""
    names = ("municipality", "vendor", "system", "mode", "reason", "ticket", "until", "until_was")
    values: dict[str, Any] = {name: kept(form, name) for name in names}
    values["policies"] = {
        name: tuple("" if is_number_in(each) else each for each in form.get(name, ())) for name in route_fields.NAMES
    }
    return {**values, "information": list(form.get("information", ()))}


def wrong_fields(w: Words, problem: Problem) -> dict[str, str]:
    """Return what is wrong by field, in the reader's words; raises the problem where it is about none."""
    if problem.code is Code.CHANGED_MEANWHILE or "it has ended" in problem.detail:
        return {"all": w.text("over_changed_meanwhile")}
    if problem.code is Code.CONFLICT:
        return {"all": w.text("over_wrong_conflict")}
    if problem.code is not Code.BAD_REQUEST:
        raise problem
    found: dict[str, str] = {}
    for told in problem.detail.split("; "):
        name, _, said_of_it = told.partition(": ")
        if said_of_it in _KEYS:
            found[name] = w.text(_KEYS[said_of_it])
        elif name == "until":
            past, long = "has passed" in told, "at most" in told
            key = "plan-fault-time-past" if past else "over_wrong_long" if long else ""
            found["until"] = w.text(key) if key else fault(w, told).text
        elif name in _TOLD:
            found[_ABOUT.get(name, name)] = w.text(_TOLD[name])
        else:
            said = fault(w, told)
            found[said.field if said.field in (*POLICIES, "mode", "information", "text", "municipality") else "all"] = (
                f"{said.text} {said.original}".strip()
            )
    return found


_SAID = {"wrong_part": "expected percent", "wrong_hours": "expected hours", "wrong_choice": "expected one of its words"}
_KEYS = {said: key for key, said in _SAID.items()}
_ABOUT = {"it names no cell": "municipality", "a value has characters that cannot be printed": "all"}
_TOLD = {
    "reason": "wrong_reason",
    "ticket": "over_wrong_ticket",
    "text": "wrong_panic_text",
    "mode": "wrong_mode",
    "municipality": "wrong_municipality",
    "information": "wrong_information",
    "it names no cell": "wrong_municipality",
    "a value has characters that cannot be printed": "over_wrong_characters",
}


def wall_of(moment: str) -> str:
    """Return a time in RFC 3339 as clocks in Norway show it, as forms have it."""
    wall = datetime.fromisoformat(moment).astimezone(OSLO).replace(tzinfo=None)
    return wall.isoformat(timespec="seconds" if wall.second else "minutes")


def _until(form: Form) -> datetime:
    """Return the end; one that was left as it was shown is the instant that it was, also where its clock time comes twice."""
    given, was = field(form, "until"), field(form, "until_was")
    try:
        if was and wall_of(was) == iso_of(given):
            return instant_of(was)
        return instant_of(iso_of(given))
    except TimeRefused as refused:
        raise Problem(Code.BAD_REQUEST, f"until: {refused}") from None
    except (ValueError, OverflowError):
        raise Problem(Code.BAD_REQUEST, "until: not as expected") from None


def _checked(given: Mapping[str, Any], wanted: type[Struct]) -> Struct:
    words = [word for value in given.values() for word in (value if isinstance(value, list) else [value])]
    if any(isinstance(word, str) and not word.isprintable() for word in words):
        raise Problem(Code.BAD_REQUEST, "a value has characters that cannot be printed")
    try:
        return msgspec.convert({name: value for name, value in given.items() if value is not None}, wanted)
    except msgspec.ValidationError as error:
        # Its own words may repeat what was written, which may be a patient's number.
        place = _PLACE.search(str(error))
        raise Problem(Code.BAD_REQUEST, f"{place[1] if place else 'the form'}: not as expected") from None
