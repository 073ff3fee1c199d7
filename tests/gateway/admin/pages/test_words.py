"""How pages say times, numbers, names and the product's code words."""

from __future__ import annotations

import re
from datetime import UTC, datetime

import pytest

from gateway.admin.pages.catalogue import TEXTS
from gateway.admin.pages.words import Names, Words
from tests.each import each_of

NOW = datetime(2026, 11, 28, 16, 27, 5, tzinfo=UTC).timestamp()
NAMES = Names(
    {"nordfjell": "Nordfjell kommune"},
    {"acme": "Acme AS"},
    {("acme", "one"): "Acme One"},
    {"k1": "Kari Marie Nordmann"},
)
NB, EN = Words("nb", NOW, NAMES), Words("en", NOW, NAMES)


@pytest.mark.parametrize(
    ("at", "norwegian", "english"),
    [
        (NOW, "lør. 28. nov. kl. 17.27", "Sat 28 Nov at 17:27"),
        ("2026-06-01T00:05:00Z", "man. 1. juni kl. 02.05", "Mon 1 Jun at 02:05"),
        ("2027-01-01T06:00:00+01:00", "fre. 1. jan. 2027 kl. 06.00", "Fri 1 Jan 2027 at 06:00"),
        ("2026-10-25T00:30:00Z", "søn. 25. okt. kl. 02.30 (sommertid)", "Sun 25 Oct at 02:30 (summer time)"),
        ("2026-10-25T01:30:00Z", "søn. 25. okt. kl. 02.30 (normaltid)", "Sun 25 Oct at 02:30 (standard time)"),
        (datetime(2026, 5, 17, 10, tzinfo=UTC), "søn. 17. mai kl. 12.00", "Sun 17 May at 12:00"),
    ],
)
def test_times_are_those_of_norwegian_clocks(at: float | str | datetime, norwegian: str, english: str) -> None:
    """The year stands there only where it is another; an hour that comes twice says which it is."""
    assert (NB.time(at), EN.time(at)) == (norwegian, english)


@pytest.mark.parametrize(
    ("seconds", "norwegian", "english"),
    [
        (0, "0 s", "0 s"),
        (59.9, "59 s", "59 s"),
        (125, "2 min 5 s", "2 min 5 s"),
        (751, "12 min", "12 min"),
        (3600, "1 t", "1 h"),
        (97_200, "1 døgn 3 t", "1 d 3 h"),
        (86_400 * 1234, "1\u00a0234 døgn", "1,234 d"),
    ],
)
def test_lengths_of_time_are_told_in_two_units(seconds: float, norwegian: str, english: str) -> None:
    """The smaller one only where it says something."""
    assert (NB.span(seconds), EN.span(seconds)) == (norwegian, english)


def test_distances_from_now_say_in_which_direction() -> None:
    """And what is left of a countdown is told to the second."""
    assert (NB.ago(NOW - 180), EN.ago(NOW - 180)) == ("for 3 min siden", "3 min ago")
    assert (NB.ago(NOW + 7200), EN.ago(NOW + 7200)) == ("om 2 t", "in 2 h")
    assert [NB.countdown(seconds) for seconds in (751, 3725, 5, -3)] == ["12:31", "1:02:05", "0:05", "0:00"]


@pytest.mark.parametrize(
    ("day", "days"),
    [
        ("2026-11-28T22:59:00Z", 0),
        ("2026-11-28T23:00:00Z", 1),
        ("2026-12-31T00:00:00+01:00", 33),
        ("2027-04-01T00:00:00+02:00", 124),
    ],
)
def test_days_until_a_day_are_those_of_the_calendar(day: str, days: int) -> None:
    """Whatever the time is now, and also where a day between has 23 hours."""
    assert NB.days_until(day) == days


@pytest.mark.parametrize(
    ("value", "norwegian", "english"),
    [
        (6621, "6\u00a0621", "6,621"),
        ("12.50", "12,5", "12.5"),
        (-0.5, "-0,5", "-0.5"),
        (1e6, "1\u00a0000\u00a0000", "1,000,000"),
    ],
)
def test_numbers_are_told_by_their_digits(value: float | str, norwegian: str, english: str) -> None:
    """With the marks of the language."""
    assert (NB.number(value), EN.number(value)) == (norwegian, english)


@pytest.mark.parametrize(
    ("part", "norwegian", "english"),
    [
        (1.0, "100\u00a0%", "100%"),
        (0.99996, "99,9\u00a0%", "99.9%"),
        (0.982, "98,2\u00a0%", "98.2%"),
        (0.0004, "under 0,1\u00a0%", "below 0.1%"),
        (0.0, "0\u00a0%", "0%"),
    ],
)
def test_percent_never_claims_what_is_not_so(part: float, norwegian: str, english: str) -> None:
    """What is not all is not 100, and what is not nothing is not 0."""
    assert (NB.percent(part), EN.percent(part)) == (norwegian, english)


def test_municipalities_come_in_norwegian_order() -> None:
    """With æ, ø and å last, which is another order than that of their code points."""
    names = ["Ål kommune", "Ærfjord kommune", "alta kommune", "Østvik kommune", "Bodø kommune"]
    words = Words("nb", NOW, Names({str(each): name for each, name in enumerate(names)}, {}, {}, {}))
    assert [name for _, name in words.municipalities()] == [
        *("alta kommune", "Bodø kommune", "Ærfjord kommune", "Østvik kommune", "Ål kommune"),
    ]


def test_people_are_told_by_name_and_not_by_hash() -> None:
    """By the full name of any of their entries of `people.persons`; without one, the entry is a name once it is written as one."""
    assert NB.person("drift, k1 (5f0c8a1e2b3c4d5e)") == "Kari Marie Nordmann"
    assert NB.person("kari-planlegger (5f0c8a1e2b3c4d5e)") == "Kari Planlegger"
    assert NB.person("ola, drift (5f0c8a1e2b3c4d5e)") == "Ola"
    assert NB.person("dev-login-arne (dev-login-arne)") == "Arne"
    assert NB.person("dev-login (dev-login)") == "Noen på denne maskinen"


def test_code_words_are_told_in_the_language_of_the_page() -> None:
    """One that has no text, as a ledger of an older version may have, is told as it is."""
    assert [NB.mode(one) for one in ("legacy", "rehearse", "canary", "new")] == [
        *("hos VKP", "prøvekjøres", "delvis flyttet", "flyttet"),
    ]
    assert NB.types(["maledata", "besoksplan", "journaling"]) == "måledata, besøksplan og journalføring"
    assert (NB.types(None), EN.types(["varsel"])) == ("alle typer", "alarm")
    assert NB.word("state", "of-long-ago") == "of-long-ago"
    assert (NB.municipality("nordfjell"), NB.municipality("gone"), NB.municipality(None)) == (
        *("Nordfjell kommune", "gone", "alle kommuner"),
    )
    assert (NB.vendor("acme"), NB.system("acme", "one"), NB.system("acme", None)) == (
        *("Acme AS", "Acme One", "alle systemer"),
    )
    assert NB.seconds(0.1204) == "120 ms"
    assert NB.seconds(1.25) == "1,2 s"


@each_of(
    [
        ("nb", "messages", "0 meldinger", "1 melding", "6 621 meldinger"),
        ("en", "messages", "0 messages", "1 message", "6,621 messages"),
        ("nb", "vendors", "0 leverandører", "1 leverandør", "6 621 leverandører"),
    ]
)
def test_what_is_counted_is_one_or_several(language: str, name: str, none: str, one: str, many: str) -> None:
    """In the grammar of the reader's language."""
    words = Words(language, NOW, Names())
    assert [words.plural(name, each).replace("\xa0", " ") for each in (0, 1, 6621)] == [none, one, many]


_COUNTS = "number|messages|another|of|all|volume|rehearsed|asked|given|needed|clean|fine|failed"
"""The holes that numbers stand in, beside `…`."""
_NO_NOUNS = {"nb": {"er", "feiler", "venter", "der"}, "en": {"is", "was", "has"}}
"""Words after a number that are no noun in the plural."""
_ALWAYS_SEVERAL = {"plan-fault-changes", "pre-senders-seen", "pre-senders-none"}
"""Texts whose number is a constant."""


def test_no_text_counts_with_a_word_in_the_plural_alone() -> None:
    """Of one it would say `1 meldinger`: a text with a number has the word for one beside that for several."""
    ends = {"nb": "er", "en": "s"}
    found = {
        (language, key, word)
        for language, texts in TEXTS.items()
        for key, text in texts.items()
        for word in re.findall(rf"(?:…|\{{(?:{_COUNTS})\}}) (?:\w+ )?(\w+{ends[language]})\b", text)
        if word not in _NO_NOUNS[language] and key not in _ALWAYS_SEVERAL
    }
    assert found == set()
