"""What callers of the ledger's endpoints may write: parameters, bodies, reasons, cursors; all checked before it is used."""

import base64
import binascii
import re
from collections.abc import Sequence
from datetime import datetime
from typing import Annotated, Literal, TypeVar

import msgspec
from aiohttp import web  # noqa: TID251 - the admin port is no part of the data plane

from gateway.admin.endpoints import ENDPOINT
from gateway.admin.problems import Code, Problem
from gateway.admin.uploads import whole_body
from gateway.ledger.records import MessageState
from gateway.model import Information
from translators.national_number import kind_of

LONGEST_REASON = 500
_LONGEST_REFERENCE, _LONGEST_KEY = 128, 200
_LARGEST_ID = 2**63 - 1
_FIRST_YEAR, _LAST_YEAR = 1970, 9998
"""What is told in another time zone must be a time there too."""
_NUMBER_IN_TEXT = re.compile(r"(?<!\d)\d{6}[ -]?\d{5}(?!\d)")
_SECONDS = re.compile(r"-?[0-9]{1,12}\.[0-9]{1,20}")
_PLACE = re.compile(r"`\$\.(\w+)`$")
Word = Annotated[str, msgspec.Meta(min_length=1, max_length=200)]
"""A name, or a part of one."""
_Limit = Annotated[int, msgspec.Meta(ge=1, le=200)]
Moment = Annotated[datetime, msgspec.Meta(tz=True)]
"""A time with its offset from UTC."""
Body = TypeVar("Body", bound=msgspec.Struct)
T = TypeVar("T")


class Page(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """Which part of a list."""

    limit: _Limit = 50
    cursor: Word | None = None


class Narrowed(Page, frozen=True, forbid_unknown_fields=True):
    """Which part of a list, and of which municipality."""

    municipality: Word | None = None
    """Short name or orgnr."""


class ListQuery(Page, frozen=True, forbid_unknown_fields=True):
    """Which messages are to be listed."""

    municipality: Word | None = None
    """Short name or orgnr."""
    state: MessageState | None = None
    sender: Word | None = None
    information: Information | None = None
    overdue: bool = False
    mark: Literal["possible-duplicate", "identifier-reused"] | None = None
    since: Moment | None = None
    until: Moment | None = None


class AuditQuery(Page, frozen=True, forbid_unknown_fields=True):
    """Which entries of the audit are to be listed."""

    actor: Word | None = None
    """As entries have it."""
    action: Word | None = None
    target: Word | None = None
    """A message's reference, or what else was acted on."""
    since: Moment | None = None
    until: Moment | None = None


class Search(ListQuery, frozen=True, forbid_unknown_fields=True, kw_only=True):
    """Likewise, of one patient."""

    patient: str

    def __repr__(self) -> str:
        return "Search(...)"


class ReasonBody(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """Why something is done."""

    reason: str


class Forget(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """Whose messages are to be forgotten, and why."""

    patient: str
    reason: str

    def __repr__(self) -> str:
        return "Forget(...)"


def of_query(request: web.Request, wanted: type[Body]) -> Body:
    """Return the parameters of a request, as its endpoint declares them; raises `Problem`."""
    _check_declared(wanted, request[ENDPOINT].query)
    given = request.query
    if len(set(given)) != len(given):
        raise Problem(Code.BAD_REQUEST, "a parameter is given twice")
    return _checked(dict(given), wanted, strict=False)


async def of_body(request: web.Request, wanted: type[Body], *, of_lines: Sequence[str] = ()) -> Body:
    """Return the JSON body of a request, as its endpoint declares it; the texts in `of_lines` may have several lines.

    Raises `Problem`.
    """
    _check_declared(wanted, request[ENDPOINT].body)
    if request.content_type != "application/json":
        raise Problem(Code.BAD_REQUEST, "Content-Type must be application/json")
    try:
        given = msgspec.json.decode(await whole_body(request))
    except (msgspec.DecodeError, ValueError, RecursionError):
        raise Problem(Code.BAD_REQUEST, "the body is not JSON") from None
    return _checked(given, wanted, strict=True, of_lines=of_lines)


def _check_declared(wanted: type[msgspec.Struct], declared: type[msgspec.Struct] | None) -> None:
    if wanted is not declared:
        raise TypeError(f"the endpoint reads {wanted.__name__}, and does not say so")


def _checked(given: object, wanted: type[Body], *, strict: bool, of_lines: Sequence[str] = ()) -> Body:
    try:
        found = msgspec.convert(given, wanted, strict=strict)
    except msgspec.ValidationError as error:
        # Its own words may repeat what was written, which may be a patient's number.
        place = _PLACE.search(str(error))
        if place is not None and place[1] in wanted.__struct_fields__:
            raise Problem(Code.BAD_REQUEST, f"{place[1]}: not as expected") from None
        raise Problem(Code.BAD_REQUEST, f"expected: {', '.join(wanted.__struct_fields__)}") from None
    values = msgspec.structs.asdict(found)
    one_line = (value for name, value in values.items() if name not in of_lines)
    if any(isinstance(value, str) and not value.isprintable() for value in one_line):
        raise Problem(Code.BAD_REQUEST, "a value has characters that cannot be printed")
    for name, value in values.items():
        if isinstance(value, datetime) and not _FIRST_YEAR <= value.year <= _LAST_YEAR:
            raise Problem(Code.BAD_REQUEST, f"{name}: not as expected")
    return found


def reason_of(text: str) -> str:
    """Return why something is done as it is kept; raises `Problem`."""
    reason = text.strip()
    if not 0 < len(reason) <= LONGEST_REASON or not reason.isprintable():
        raise Problem(Code.BAD_REQUEST, f"reason: 1 to {LONGEST_REASON} characters on one line")
    if is_number_in(reason):
        raise Problem(Code.BAD_REQUEST, "reason: without national identity numbers")
    return reason


def is_number_in(text: str) -> bool:
    """Tell whether a text has what looks like a national identity number."""
    return _NUMBER_IN_TEXT.search(text) is not None


def without_numbers(text: str) -> str:
    """Return a text with what looks like a national identity number taken out."""
    return _NUMBER_IN_TEXT.sub("[...]", text)


def number_of(text: str) -> str:
    """Return a patient's number; raises `Problem`, which does not repeat it."""
    if kind_of(text) is None:
        raise Problem(Code.BAD_REQUEST, "patient: expected a national identity number of eleven digits")
    return text


def reference_of(request: web.Request) -> str:
    """Return the reference in a path; raises `Problem` for what no message is called."""
    reference = request.match_info["reference"]
    if len(reference) > _LONGEST_REFERENCE or not reference.isprintable():
        raise Problem(Code.NOT_FOUND)
    return reference


def idempotency_key(request: web.Request) -> str | None:
    """Return by what the same request is known again; raises `Problem`."""
    given = request.headers.getall("Idempotency-Key", [])
    if not given:
        return None
    if len(given) > 1 or not 0 < len(given[0]) <= _LONGEST_KEY or not given[0].isprintable():
        raise Problem(Code.BAD_REQUEST, f"Idempotency-Key: 1 to {_LONGEST_KEY} characters, once")
    return given[0]


def cursor_after(kind: str, number: int) -> str:
    """Return what a caller gives to get what comes after the row with this id."""
    return base64.urlsafe_b64encode(f"{kind}{number}".encode()).decode().rstrip("=")


def row_of(kind: str, cursor: str | None) -> int | None:
    """Return the id in a cursor of this kind; raises `Problem`."""
    if cursor is None:
        return None
    return _id_of(_in_cursor(kind, cursor))


def timed_row_of(kind: str, cursor: str) -> tuple[float, int]:
    """Return the time, in seconds since the epoch, and the id in a cursor of this kind; raises `Problem`."""
    at, _, digits = _in_cursor(kind, cursor).partition(":")
    if _SECONDS.fullmatch(at) is None:
        raise _no_cursor()
    return float(at), _id_of(digits)


def _in_cursor(kind: str, cursor: str) -> str:
    try:
        text = base64.b64decode(cursor + "=" * (-len(cursor) % 4), altchars=b"-_", validate=True).decode("ascii")
    except (binascii.Error, ValueError):
        raise _no_cursor() from None
    if not text.startswith(kind):
        raise _no_cursor()
    return text.removeprefix(kind)


def _id_of(digits: str) -> int:
    if not digits.isdecimal() or int(digits) > _LARGEST_ID:
        raise _no_cursor()
    return int(digits)


def _no_cursor() -> Problem:
    return Problem(Code.BAD_REQUEST, "cursor: expected one that a list gave")


def part_of(found: Sequence[T], wanted: Page, kind: str) -> tuple[Sequence[T], str | None]:
    """Return the part of a whole list that is wanted, and the cursor of what follows; raises `Problem`."""
    skipped = row_of(kind, wanted.cursor) or 0
    end = skipped + wanted.limit
    return found[skipped:end], cursor_after(kind, end) if len(found) > end else None
