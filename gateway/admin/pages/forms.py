"""What every page with a form does: read its fields, know the version that it showed, and send the browser on."""

import re
from collections.abc import Mapping, Sequence
from datetime import datetime
from urllib.parse import urlencode

from aiohttp import web  # noqa: TID251 - the admin port is no part of the data plane

from gateway.admin.context import reach
from gateway.admin.pages.plan_words import fault
from gateway.admin.pages.words import Words
from gateway.admin.params import is_number_in
from gateway.admin.problems import Code, PreconditionFailed, Problem
from gateway.auth.people.principal import Principal
from gateway.auth.people.rbac import Action
from gateway.migration.schedule import TimeRefused, instant_of

FORM = "application/x-www-form-urlencoded"
_DAY = r"([0-9]{1,2})\.\s?([0-9]{1,2})\.\s?([0-9]{4})"
_WRITTEN = re.compile(_DAY + r"(?:,?\s+(?:kl\.?\s*)?([0-9]{1,2})[.:]([0-9]{2})(?:[.:]([0-9]{2}))?)?", re.IGNORECASE)
_LONGEST_VERSION = 9
LONGEST_SEARCHED = 200
"""Characters of one field of a search."""
Form = Mapping[str, Sequence[str]]
"""The values of a form by the names of its fields."""


async def form_of(request: web.Request) -> Form:
    """Return the form that a request brings; raises `Problem`."""
    if request.content_type != FORM:
        raise Problem(Code.BAD_REQUEST, f"Content-Type must be {FORM}")
    found: dict[str, list[str]] = {}
    for name, value in (await request.post()).items():
        if isinstance(value, str):
            found.setdefault(name, []).append(value)
    return found


def field(form: Form, name: str) -> str:
    """Return what was written into a field, without blanks around it; empty where nothing was."""
    return form.get(name, [""])[0].strip()


def kept(form: Form, name: str) -> str:
    """Return what was written into a field, to be shown again; what may be a national identity number is not."""
    text = field(form, name)
    return "" if is_number_in(text) else text


def iso_of(text: str, *, day_alone: bool = False) -> str:
    """Return a time as people write it, `1.12.2026 kl. 6.00`, as ISO 8601 has it, of the clocks that it was written by; other text as it is.

    `day_alone`: a day without a time of day is its beginning.
    """
    found = _WRITTEN.fullmatch(text)
    if found is None or (found[4] is None and not day_alone):
        return text
    day, month, year, hour, minute, second = found.groups()
    clock = f"{hour or '0':0>2}:{minute or '00'}" + (f":{second}" if second else "")
    return f"{year}-{month:0>2}-{day:0>2}T{clock}"


def choices(who: Principal, w: Words, action: Action = Action.VIEW) -> list[tuple[str, str]]:
    """Return the municipalities in which someone may do this, to choose from, by name."""
    within = reach(who, action)
    return [(key, name) for key, name in w.municipalities() if within is None or key in within]


def municipalities_of(form: Form) -> list[str]:
    """Return the municipalities that were ticked; several may stand in one value."""
    return " ".join(form.get("municipalities", ())).replace(",", " ").split()


def version_of(form: Form) -> frozenset[int]:
    """Return the version that the page showed; raises `PreconditionFailed` where the form has none.

    What is no version is one that there never is, so the change is refused as made for another.
    """
    text = field(form, "version")
    if not text:
        raise PreconditionFailed
    is_one = text.isascii() and text.isdecimal() and len(text) <= _LONGEST_VERSION
    return frozenset({int(text)} if is_one else ())


def see_other(path: str) -> web.Response:
    """Return the answer that sends a browser on (303), so that loading the page anew changes nothing."""
    return web.Response(status=303, headers={"Location": path})


def searched(request: web.Request, names: Sequence[str]) -> dict[str, str]:
    """Return what the fields of a search ask for; empty where nothing was written."""
    return {name: request.query.get(name, "").strip()[:LONGEST_SEARCHED] for name in names}


def between(asked: Mapping[str, str], w: Words, errors: dict[str, str]) -> dict[str, datetime]:
    """Return the moments of the fields `since` and `until` that were written; say what is wrong at its field."""
    found = {}
    for name in ("since", "until"):
        try:
            if asked[name]:
                found[name] = instant_of(iso_of(asked[name], day_alone=True))
        except TimeRefused as refused:
            errors[name] = fault(w, str(refused)).text
    return found


def going_on(path: str, asked: Mapping[str, str], cursor: str | None) -> str | None:
    """Return the link to the part of a search that follows; None where none does."""
    if cursor is None:
        return None
    return f"{path}?{urlencode({**{name: value for name, value in asked.items() if value}, 'cursor': cursor})}"
