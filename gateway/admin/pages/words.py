"""What a page says in its reader's language: times, numbers, names, and the product's code words as words.

Templates have it as `w`, and Python as `words(request)` of render.py.
"""

import re
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from datetime import datetime
from decimal import ROUND_DOWN, Decimal

from markupsafe import Markup

from gateway.admin.pages import phrases
from gateway.admin.pages.catalogue import TEXTS, Texts
from gateway.config.model import Config
from gateway.ledger.message_queries import IDENTIFIER_REUSED, POSSIBLE_DUPLICATE
from gateway.migration.schedule import OSLO, moment, wall
from gateway.migration.standing import TYPES, alphabetical
from gateway.times import when

Instant = float | str | datetime
"""Seconds since the epoch, RFC 3339, or an aware datetime."""
MARKS = (POSSIBLE_DUPLICATE, IDENTIFIER_REUSED, "overdue")
RULES = tuple(key.removeprefix("rule-help-") for key in TEXTS["nb"] if key.startswith("rule-help-"))
"""Repairs, and `loss` for every loss; docs/losses.md has the same."""
_WALL = re.compile(r"(\d{4})-(\d\d)-(\d\d)[T ](\d\d):(\d\d)(?::(\d\d))?", re.ASCII)
_MINUTE, _TEN_MINUTES, _HOUR, _DAY = 60, 600, 3600, 86_400


@dataclass(frozen=True, slots=True)
class Names:
    """What municipalities, vendors, systems and people are called, by their short names."""

    municipalities: Mapping[str, str] = field(default_factory=dict)
    vendors: Mapping[str, str] = field(default_factory=dict)
    systems: Mapping[tuple[str, str], str] = field(default_factory=dict)
    people: Mapping[str, str] = field(default_factory=dict)
    upstreams: Mapping[str, str] = field(default_factory=dict)
    """The kind of each server."""

    @classmethod
    def of(cls, config: Config) -> "Names":
        """Return the names that a configuration gives."""
        return cls(
            {key: one.name for key, one in config.municipalities.items()},
            {key: one.name for key, one in config.vendors.items()},
            {(key, system): name for key, vendor in config.vendors.items() for system, name in vendor.systems.items()},
            {one.name: one.full_name for one in (config.people.entries if config.people else ()) if one.full_name},
            {name: one.KIND for name, one in config.upstreams.items()},
        )


class Count:
    """How many there are of something, in a hole of a text.

    `{number}` is 1 or 2, `{number:melding|meldinger}` is 1 melding or 2 meldinger, and `{number:|kommune|kommuner}` the word alone.
    """

    def __init__(self, digits: str, *, is_one: bool) -> None:
        self._digits = digits
        self._is_one = is_one

    def __format__(self, words: str) -> str:
        if not words:
            return self._digits
        one, many = words.removeprefix("|").split("|")
        word = one if self._is_one else many
        return word if words.startswith("|") else f"{self._digits} {word}"

    def __str__(self) -> str:
        return self._digits


class Words:
    """One page's way of saying things; `now` is in seconds since the epoch."""

    def __init__(self, language: str, now: float, names: Names) -> None:
        self.language = language
        self._t: Texts = TEXTS[language]
        self._now = now
        self._names = names
        self._ids = 0

    def text(self, key: str) -> str:
        """Return a text by its key."""
        return self._t[key]

    def municipalities(self) -> list[tuple[str, str]]:
        """Return every municipality's short name with its name, by the name."""
        return sorted(self._names.municipalities.items(), key=lambda item: alphabetical(item[1]))

    def word(self, family: str, value: object) -> str:
        """Return what a code word means; one of an older version, which has no text, as it is."""
        return self._t.get(f"{family}-{value}", str(value))

    def text_if_any(self, key: str) -> str:
        """Likewise, of a key that code has put together; empty where there is none."""
        return self._t.get(key, "")

    def told(self, text: str | None) -> Markup:
        """Return what the gateway says in diagnostics and reasons; what is not its own stands as it was said, and is marked so."""
        return phrases.told(self.language, text or "")

    def standing(self, modes: Sequence[str]) -> str:
        """Say of each mode which types have it: what the boxes of a row show by a letter; those of the most are the rest."""
        by: dict[str, list[str]] = {}
        for kind, mode in zip(TYPES, modes, strict=True):
            if mode:
                by.setdefault(mode, []).append(self.type(kind.value))
        if len(by) < 2:
            return next((f"{self.mode(mode)}: {self.types(None)}" for mode in by), self._t["ov_nobody"])
        most = max(by, key=lambda mode: len(by[mode]))
        told = [f"{self.mode(mode)}: {self.listed(types)}" for mode, types in by.items() if mode != most]
        return "; ".join([*told, f"{self.mode(most)}: {self._t['ov_rest']}"])

    def count(self, number: int) -> "Count":
        """Return a number for the hole of a text."""
        return Count(self.number(number), is_one=number == 1)

    def plural(self, name: str, number: int) -> str:
        """Return how many there are of something: `1 melding`, `2 meldinger`."""
        return self._t[f"count-{name}"].format(number=self.count(number))

    def mode(self, mode: str) -> str:
        """Return a mode as a state of a municipality: `legacy` is with VKP."""
        return self.word("mode", mode)

    def type(self, information: str) -> str:
        """Return an information type, or a group of them."""
        return self._t.get(f"type-{information}", self.word("group", information))

    def types(self, information: Iterable[str] | None) -> str:
        """Return information types in one line; None is all of them."""
        return self._t["all_types"] if information is None else self.listed([self.type(one) for one in information])

    def municipality(self, key: str | None) -> str:
        """Return a municipality's name; None is all of them."""
        return self._t["everywhere"] if key is None else self._names.municipalities.get(key, key)

    def vendor(self, key: str | None) -> str:
        """Return a vendor's name; None is all of them."""
        return self._t["all_vendors"] if key is None else self._names.vendors.get(key, key)

    def system(self, vendor: str | None, key: str | None) -> str:
        """Return the name of a vendor's system; None is all of them."""
        return self._t["all_systems"] if key is None else self._names.systems.get((vendor or "", key), key)

    def whole_system(self, vendor: str | None, key: str | None) -> str:
        """Return a system's name with its vendor's, unless that stands in it."""
        maker, name = self.vendor(vendor), self.system(vendor, key)
        return name if name.casefold().startswith(maker.casefold()) else f"{maker} {name}"

    def upstream(self, name: str) -> str:
        """Return what a server is called; with its name in the file only where there are several of its kind."""
        kinds = self._names.upstreams
        if (kind := kinds.get(name)) is None:
            return name
        told = self.word("service", kind)
        return told if list(kinds.values()).count(kind) == 1 else f"{told} {self._t['quoted'].replace('…', name)}"

    def person(self, actor: str) -> str:
        """Return who did something, as the audit has it, by name: that of an entry of `people.persons`, and no hash."""
        entries = actor.partition(" (")[0].split(", ")
        if full := next((self._names.people[one] for one in entries if one in self._names.people), None):
            return full
        known = entries[0]
        played = known.removeprefix("dev-login-") if known != "dev-login" else self._t["somebody"]
        return " ".join(part[:1].upper() + part[1:] for part in played.replace("_", "-").split("-"))

    def time(self, at: Instant) -> str:
        """Return a time as clocks in Norway show it: `lør. 28. nov. kl. 17.27`; the year only where it is another."""
        local = _local(at)
        twice = local.replace(fold=0).utcoffset() != local.replace(fold=1).utcoffset()
        season = f" ({self._t['summer_time' if local.dst() else 'winter_time']})" if twice else ""
        return f"{self.date(at)}{self._t['at_clock']}{self.clock(at)}{season}"

    def date(self, at: Instant) -> str:
        """Return a day: `lør. 28. nov.`."""
        local, this = _local(at), _local(self._now)
        day = self._t["weekdays"].split()[local.weekday()]
        month = self._t["months"].split()[local.month - 1]
        year = "" if local.year == this.year else f" {local.year}"
        return f"{day} {local.day}{self._t['ordinal_mark']} {month}{year}"

    def days_until(self, at: Instant) -> int:
        """Return how many days there are from today to a day, as a calendar counts them."""
        return (_local(at).date() - _local(self._now).date()).days

    def clock(self, at: Instant) -> str:
        """Return the time of day: `17.27`."""
        return _local(at).strftime(f"%H{self._t['clock_mark']}%M")

    def exact(self, at: Instant) -> str:
        """Return a time to the second: `søn. 29. nov. kl. 03.33.07`."""
        mark = self._t["clock_mark"]
        return f"{self.date(at)}{self._t['at_clock']}{_local(at).strftime(f'%H{mark}%M{mark}%S')}"

    def iso(self, at: Instant) -> str:
        """Return a time as machines read it, in UTC."""
        return when(_seconds(at))

    def wall(self, at: Instant) -> str:
        """Return a time as a field for Norwegian clocks has it: `2026-11-28T17:27`."""
        return wall(_local(at))

    def written(self, wall: str) -> str:
        """Return a time of Norwegian clocks in ISO 8601 as people write it into a field, `28.11.2026 kl. 17.27`; other text as it is."""
        found = _WALL.fullmatch(wall)
        if found is None:
            return wall
        year, month, day, hour, minute, second = found.groups()
        clock = self._t["clock_mark"].join(filter(None, (hour, minute, second)))
        return f"{day}.{month}.{year}{self._t['time_field_mark']}{clock}"

    def ago(self, at: Instant) -> str:
        """Return how long since, or how long until."""
        seconds = _seconds(at) - self._now
        text = self.span(seconds)
        return self._t["in_time" if seconds > 0 else "ago"].replace("…", text)

    def span(self, seconds: float) -> str:
        """Return a length of time in its two largest units: `2 døgn 3 t`."""
        left = int(abs(seconds))
        units = ((_DAY, "days"), (_HOUR, "hours"), (_MINUTE, "minutes"), (1, "seconds"))
        first = next((index for index, (size, _) in enumerate(units) if left >= size), 3)
        parts: list[str] = []
        for size, name in units[first : first + (1 if _TEN_MINUTES <= left < _HOUR else 2)]:
            count, left = divmod(left, size)
            if count or not parts:
                parts.append(f"{self.number(count)} {self._t[f'span_{name}']}")
        return " ".join(parts)

    def countdown(self, seconds: float) -> str:
        """Return what is left, to the second: `12:31`, or `1:02:05`."""
        left = max(0, int(seconds))
        hours, minutes = divmod(left // _MINUTE, 60)
        return f"{hours}:{minutes:02}:{left % 60:02}" if hours else f"{minutes}:{left % 60:02}"

    def number(self, value: float | str | Decimal) -> str:
        """Return a number by its digits, with thousands apart: `6 621`, `0,5`."""
        whole, _, part = f"{Decimal(str(value)):f}".partition(".")
        grouped = f"{int(whole):,}".replace(",", self._t["thousands_mark"])
        sign = "-" if whole == "-0" else ""
        part = part.rstrip("0")
        return f"{sign}{grouped}{self._t['decimal_mark']}{part}" if part else f"{sign}{grouped}"

    def percent(self, part: float, digits: int = 1) -> str:
        """Return a part of 1 in hundredths, rounded down: what is not all must not look like it."""
        exact = Decimal(repr(part)) * 100
        step = Decimal(1).scaleb(-digits)
        shown = exact.quantize(step, ROUND_DOWN)
        mark = self._t["percent_mark"]
        if 0 < exact < step:
            return f"{self._t['less_than']} {self.number(step)}{mark}"
        return f"{self.number(shown)}{mark}"

    def seconds(self, seconds: float) -> str:
        """Return how long something took: `120 ms`, `1,2 s`."""
        if seconds < 1:
            return f"{self.number(round(seconds * 1000))} ms"
        return f"{self.number(round(seconds, 1))} s"

    def listed(self, items: Sequence[str]) -> str:
        """Return items as a sentence has them: `a, b og c`."""
        *some, last = items or ("",)
        return f"{', '.join(some)} {self._t['and']} {last}" if some else last

    def unique(self) -> int:
        """Return a number for an element's id that no other on the page has."""
        self._ids += 1
        return self._ids


def _seconds(at: Instant) -> float:
    if isinstance(at, str):
        at = datetime.fromisoformat(at)
    return at.timestamp() if isinstance(at, datetime) else at


def _local(at: Instant) -> datetime:
    return moment(_seconds(at)).astimezone(OSLO)
