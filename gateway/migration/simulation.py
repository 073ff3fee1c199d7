"""An invented country: municipalities with record systems and vendors, as a routes.yaml and as what they will do."""

import random
from collections import Counter
from collections.abc import Callable
from dataclasses import dataclass, field
from datetime import UTC, date, datetime, time, timedelta

from gateway.config.plans import Gate
from gateway.migration.gates import GateNumbers, judge_gate
from gateway.model import JOURNALING, Envelope, Information, Mode, Place
from gateway.routing.layers import Layer, Layers, Rule
from gateway.routing.route import Route
from gateway.routing.table import RouteTable
from gateway.times import DAY

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


GATE = Gate(rehearsed_at_least=200, clean_at_least=0.995, within=7 * DAY)
_REHEARSED = 7
"""Days of rehearsal before the first cutover of a pair, and between two tries."""
_ROLLED_BACK = 0.02
"""Chance that a switch is rolled back within its first day."""
_RESTS = 14
"""Days until the next try after that."""
_MOST_REHEARSED = 2_000
"""Messages of a pair that one gate looks at; more change nothing but the time that playing takes."""
_PEAK = 3.0
"""How much busier the busiest second of a day is than the mean one."""


@dataclass(frozen=True, slots=True)
class SimulatedDay:
    """The state of the country at the end of a day."""

    date: date
    legacy: int
    """Pairs of municipality and vendor."""
    rehearsing: int
    moved: int
    to_vkp: int
    """Messages of the day."""
    to_jft: int
    peak: float
    """Messages per second to JFT at the busiest moment."""


@dataclass
class SimulationOutcome:
    """What came of it."""

    days: list[SimulatedDay] = field(default_factory=list)
    switched: int = 0
    rolled_back: int = 0
    blocked: Counter[str] = field(default_factory=Counter)
    """Cutovers that their gate did not let pass, by why."""
    closes: date | None = None
    """The first day on which nothing goes to VKP any more; None: not within the days that were played."""
    holds_back: Counter[str] = field(default_factory=Counter)
    """By vendor, the pairs that are not moved at the end."""


@dataclass
class _CellState:
    pair: Pair
    mode: Mode = Mode.LEGACY
    since: int = 0
    next_try: int = 0


class Play:
    """One migration."""

    def __init__(self, country: Country, table: RouteTable, seed: int) -> None:
        self._country = country
        self._table = table
        self._chance = random.Random(seed)  # noqa: S311 - an invented country needs no secret
        self._states = [_CellState(pair) for pair in country.pairs]
        self._went: dict[tuple[str, str], dict[str, Mode | None]] = {}
        self.outcome = SimulationOutcome()

    def run(self, days: int, after_each: Callable[[], None] = lambda: None) -> SimulationOutcome:
        """Play so many days; `after_each` is called when one is over."""
        self._decide(self._states, 0)
        for day in range(days):
            changed = [state for state in self._states if self._lives(state, day)]
            if changed:
                self._table = self._table.with_layers(Layers(map(_rule, self._states_above())))
                self._decide(changed, day)
            self._tell(day)
            after_each()
        left = (state for state in self._states if state.mode is not Mode.NEW)
        self.outcome.holds_back = Counter(state.pair.vendor for state in left)
        return self.outcome

    def _states_above(self) -> list[_CellState]:
        return [state for state in self._states if state.mode is not Mode.LEGACY]

    def _lives(self, state: _CellState, day: int) -> bool:
        """Let one pair live one day; tell whether its mode has changed."""
        if state.mode is Mode.LEGACY and day >= self._country.ready[state.pair.municipality]:
            state.mode, state.since, state.next_try = Mode.REHEARSE, day, day + _REHEARSED
            return True
        if state.mode is Mode.REHEARSE and day >= state.next_try:
            return self._tries(state, day)
        if state.mode is Mode.NEW and day == state.since + 1 and self._chance.random() < _ROLLED_BACK:
            self.outcome.rolled_back += 1
            state.mode, state.next_try = Mode.REHEARSE, day + _RESTS
            return True
        return False

    def _tries(self, state: _CellState, day: int) -> bool:
        rehearsed = state.pair.messages_a_day * _REHEARSED
        clean = sum(self._chance.random() < self._clean(state, day) for _ in range(min(rehearsed, _MOST_REHEARSED)))
        numbers = GateNumbers(min(rehearsed, _MOST_REHEARSED), clean)
        if not judge_gate(GATE, numbers).ok:
            few = numbers.rehearsed < GATE.rehearsed_at_least
            self.outcome.blocked["too few messages" if few else "not clean enough"] += 1
            state.next_try = day + _REHEARSED
            return False
        self.outcome.switched += 1
        state.mode, state.since = Mode.NEW, day
        return True

    def _clean(self, state: _CellState, day: int) -> float:
        """Return the share of clean messages: flaws are mended while they are rehearsed."""
        progress = min(1.0, (day - state.since) / state.pair.mended_within)
        return state.pair.clean + (0.9995 - state.pair.clean) * progress

    def _decide(self, states: list[_CellState], day: int) -> None:
        """Ask the table which way the messages of these pairs go."""
        now = datetime.combine(at(self._country, day), time(12), UTC)
        for state in states:
            pair = state.pair
            self._went[pair.municipality, pair.vendor] = {
                kind: self._table.decide(_envelope(pair, kind), now).mode for kind in TYPES
            }

    def _tell(self, day: int) -> None:
        modes, to_vkp, to_jft = Counter[Mode](), 0, 0
        for state in self._states:
            modes[state.mode] += 1
            went = self._went[state.pair.municipality, state.pair.vendor]
            new = sum(mode is Mode.NEW for mode in went.values()) / len(went)
            to_jft += round(state.pair.messages_a_day * new)
            to_vkp += state.pair.messages_a_day - round(state.pair.messages_a_day * new)
        today = at(self._country, day)
        peak = _PEAK * to_jft / DAY
        rehearsing = modes[Mode.REHEARSE]
        self.outcome.days.append(
            SimulatedDay(today, modes[Mode.LEGACY], rehearsing, modes[Mode.NEW], to_vkp, to_jft, peak)
        )
        if to_vkp:
            self.outcome.closes = None
        elif self.outcome.closes is None:
            self.outcome.closes = today


def _rule(state: _CellState) -> Rule:
    pair = state.pair
    name = f"{pair.municipality}-{pair.vendor}"
    route = Route(
        municipality=pair.municipality,
        vendor=pair.vendor,
        system=None,
        information=JOURNALING,
        grouped=JOURNALING,
        mode=state.mode,
        text=None,
        place=Place("simulation", 1, 1),
    )
    return Rule(Layer.CUTOVER, name, route)


def _envelope(pair: Pair, kind: str) -> Envelope:
    sender = f"{pair.vendor}-{pair.municipality}"
    return Envelope("vkp-r4", pair.municipality, sender, pair.vendor, "s", Information(kind))
