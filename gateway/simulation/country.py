"""An invented country: municipalities with record systems and vendors, as a routes.yaml and as what they will do."""

import random
from dataclasses import dataclass
from datetime import date, timedelta

TYPES = ("medisinering", "varsel", "tilsyn", "notat")
_SYSTEMS = (("Gerica", 0.45), ("CosDoc", 0.2), ("Profil", 0.2), ("Helseplattformen", 0.15))
"""Record systems and their share of the municipalities."""
_WAVES = {"Gerica": 60, "Profil": 150, "CosDoc": 240, "Helseplattformen": 0}
"""Days after the start on which each record system can read JFT."""
_SPREAD = 180
"""Days within which the municipalities of a wave are ready."""
_VENDORS = 12
_WEIGHTS = (3, 2, 7, 6, 5, 4, 3, 2)


@dataclass(frozen=True, slots=True)
class Pair:
    """One vendor in one municipality."""

    municipality: str
    vendor: str
    messages_a_day: int
    clean: float
    """The share of its messages that a first rehearsal finds clean."""
    mended_within: int
    """Days of rehearsal after which the vendor's flaws have an answer in the configuration, or at the vendor."""


@dataclass(frozen=True, slots=True)
class Country:
    """What the simulation plays."""

    begins: date
    text: str
    """The routes.yaml of the first day: everything with VKP."""
    ready: dict[str, int]
    """By municipality, the day on which its record system reads JFT."""
    pairs: tuple[Pair, ...]


def invented(municipalities: int, seed: int, begins: date) -> Country:
    """Return a country with so many municipalities; the same seed gives the same one."""
    chance = random.Random(seed)  # noqa: S311 - an invented country needs no secret
    names = [f"k{number:03d}" for number in range(1, municipalities + 1)]
    systems = {name: _drawn(chance) for name in names}
    ready = {name: _WAVES[systems[name]] + int(chance.betavariate(2, 3) * _SPREAD) for name in names}
    quality = {vendor: 1 - chance.betavariate(1.2, 60) for vendor in _vendors()}
    pairs = tuple(pair for name in names for pair in _pairs(chance, name, quality))
    return Country(begins, _text(names, systems, pairs), ready, pairs)


def at(country: Country, day: int) -> date:
    """Return the date of a day."""
    return country.begins + timedelta(days=day)


def _vendors() -> list[str]:
    return [f"v{number:02d}" for number in range(1, _VENDORS + 1)]


def _drawn(chance: random.Random) -> str:
    return chance.choices([name for name, _ in _SYSTEMS], [share for _, share in _SYSTEMS])[0]


def _pairs(chance: random.Random, name: str, quality: dict[str, float]) -> list[Pair]:
    inhabitants = max(500, int(chance.lognormvariate(8.6, 1.1)))
    own = chance.sample(_vendors(), chance.randint(2, 5))
    return [
        Pair(
            name, vendor, max(20, int(inhabitants * chance.uniform(0.01, 0.06))), quality[vendor], chance.randint(7, 60)
        )
        for vendor in own
    ]


def _text(names: list[str], systems: dict[str, str], pairs: tuple[Pair, ...]) -> str:
    places = "\n".join(
        f'  {name}: {{name: {name}, orgnr: "{_orgnr(index)}", epj: {{system: {systems[name]}, generation: legacy, '
        f"reads: [jft]}}}}"
        for index, name in enumerate(names)
    )
    sellers = "\n".join(_seller(vendor, [pair for pair in pairs if pair.vendor == vendor]) for vendor in _vendors())
    return f"""\
version: 1
helseid: {{issuer: "https://helseid.example", client_id: simulation, key_file: none}}
upstreams:
  vkp: {{kind: vkp, url: "https://vkp.example"}}
  jft: {{kind: jft, write_url: "https://write.example", read_url: "https://read.example", status: production}}
municipalities:
{places}
vendors:
{sellers}
routes:
  - {{mode: legacy}}
"""


def _seller(vendor: str, pairs: list[Pair]) -> str:
    senders = ", ".join(
        f"{{vkp_id: {vendor}-{pair.municipality}, municipality: {pair.municipality}}}" for pair in pairs
    )
    return f"  {vendor}: {{name: {vendor}, systems: {{s: {{name: {vendor}, senders: [{senders}]}}}}}}"


def _orgnr(index: int) -> str:
    """Return the index-th number of nine digits, from 310000000, that has a check digit (modulus 11)."""
    number, found = 31_000_000, -1
    while found < index:
        number += 1
        total = sum(weight * int(digit) for weight, digit in zip(_WEIGHTS, str(number), strict=True))
        check = (11 - total % 11) % 11
        found += check != 10
    return f"{number}{check}"
