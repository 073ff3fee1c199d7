"""Loading and checking a configuration of a whole country, and deciding with it, also under all that people may set over it."""

import importlib.util
import itertools
import random
import time
import tracemalloc
from collections.abc import Callable
from dataclasses import dataclass
from datetime import UTC, datetime
from pathlib import Path
from statistics import median

from bench.processes import BenchFailed
from bench.report import Findings, Goal, Table
from bench.scene import Scene
from gateway.config.load import Loaded, load
from gateway.config.model import Config
from gateway.model import JOURNALING, Envelope, Information, Mode, Place
from gateway.routing.diff import changed_cells
from gateway.routing.layers import Layer, Layers, Rule
from gateway.routing.route import Route
from gateway.routing.table import RouteTable
from gateway.surfaces.vkp_r4 import NAME

_MUNICIPALITIES, _VENDORS = 400, 20
_OVERRIDES, _CUTOVERS = 1_000, 50
_FAR = 1e11
"""An end that does not come, in seconds since the epoch."""
_GENERATOR = Path(__file__).parents[1] / "tests" / "gateway" / "config" / "conftest.py"
_LOADS = 3
_LOAD_LIMIT = 1.0
_DECIDE_LIMIT = 10e-6
_TAKE_LIMIT = 0.25
"""Seconds. A panic holds on all nodes within one: a quarter passes until a node looks, and the ledger must be read."""


def measure(scene: Scene) -> Findings:
    """Load the file a few times, then decide every cell once, in no order."""
    generate = _generator()
    if generate is None:
        missing = Table(
            "Configuration", ("", ""), (), ("Not measured: the tests' generator of a large file cannot be used.",)
        )
        return Findings("config", (missing,))
    file = scene.folder / "large.yaml"
    file.write_text(generate(_MUNICIPALITIES, _VENDORS), encoding="utf-8")
    with scene.cores.lent():
        loading, loaded = _time_loading(file)
        if loaded.table is None or loaded.config is None:
            raise BenchFailed(f"the large file is refused: {loaded.problems[0]}")
        deciding = _time_deciding(loaded.table)
        above = _measure_layers(loaded.table, loaded.config)
    size = f"{_MUNICIPALITIES} municipalities x {_VENDORS} vendors x {len(Information)} types"
    rows = (
        ("load and check", f"{loading:.2f} s", f"{file.stat().st_size / 1e6:.1f} MB of YAML"),
        ("decide one message", f"{deciding * 1e6:.2f} us", "mean over every cell"),
        *above.rows(),
    )
    goals = (
        Goal("load and check the file", f"< {_LOAD_LIMIT:g} s", f"{loading:.2f} s", loading < _LOAD_LIMIT),
        Goal("decide one message", "< 10 us", f"{deciding * 1e6:.2f} us", deciding < _DECIDE_LIMIT),
        *above.goals(),
    )
    return Findings("config", (Table(f"Configuration: {size}", ("", "time", ""), rows),), goals)


@dataclass(frozen=True, slots=True)
class _Above:
    """What it takes that rules lie over the routes; seconds, and bytes."""

    taking: float
    deciding: float
    comparing: float
    comparing_peak: int
    changes: int

    def rows(self) -> tuple[tuple[str, str, str], ...]:
        """Return what is said of it."""
        layers = f"{_OVERRIDES:,} overrides, {_CUTOVERS} executed cutovers, one panic"
        told = f"what `guard_reload` asks: {self.changes:,} changes found, {self.comparing_peak / 1e6:.0f} MB at most"
        return (
            ("take what people set", f"{self.taking * 1e3:.0f} ms", f"{layers}: at every change of one of them"),
            ("decide one message below these", f"{self.deciding * 1e6:.2f} us", "mean over every cell"),
            ("compare every cell", f"{self.comparing:.2f} s", told),
        )

    def goals(self) -> tuple[Goal, ...]:
        """Return the sizes that are to be reached below them."""
        taking, deciding = f"{self.taking * 1e3:.0f} ms", f"{self.deciding * 1e6:.2f} us"
        return (
            Goal("take what people set", f"< {_TAKE_LIMIT * 1e3:.0f} ms", taking, self.taking < _TAKE_LIMIT),
            Goal("decide one message below these", "< 10 us", deciding, self.deciding < _DECIDE_LIMIT),
        )


def _measure_layers(table: RouteTable, config: Config) -> _Above:
    rules = _rules()
    times = []
    for _ in range(_LOADS):
        start = time.perf_counter()
        above = table.with_layers(Layers(rules))
        times.append(time.perf_counter() - start)
    now = datetime.now(UTC)  # noqa: TID251 - the benchmark's own clock
    start = time.perf_counter()
    changes = changed_cells(table, above, config, config, now)
    comparing = time.perf_counter() - start
    # Apart from the times: what counts allocations slows them down.
    tracemalloc.start()
    changed_cells(table, above, config, config, now)
    _, peak = tracemalloc.get_traced_memory()
    tracemalloc.stop()
    return _Above(median(times), _time_deciding(above), comparing, peak, len(changes))


def _rules() -> list[Rule]:
    """Return a panic of a type, cutovers of whole municipalities, and overrides of vendors and types in every municipality."""
    types = sorted(JOURNALING)
    overrides = [
        _rule(
            Layer.OVERRIDE,
            number,
            f"kommune-{number % _MUNICIPALITIES}",
            f"vendor-{number // _MUNICIPALITIES}",
            frozenset({types[number % len(types)]}) if number % 2 else None,
        )
        for number in range(_OVERRIDES)
    ]
    cutovers = [_rule(Layer.CUTOVER, number, f"kommune-{number}", None, JOURNALING) for number in range(_CUTOVERS)]
    return [*overrides, *cutovers, _rule(Layer.PANIC, 0, None, None, frozenset({types[0]}))]


def _rule(
    layer: Layer, number: int, municipality: str | None, vendor: str | None, types: frozenset[Information] | None
) -> Rule:
    place = Place(f"{layer} {number}", 0, 0)
    mode = Mode.LEGACY if layer is Layer.PANIC else Mode.NEW if layer is Layer.CUTOVER else Mode.CLOSED
    route = Route(
        municipality, vendor, None, types, frozenset(), mode, "Stengt." if mode is Mode.CLOSED else None, place
    )
    return Rule(layer, str(number), route, _FAR if layer is Layer.OVERRIDE else None)


def _generator() -> Callable[[int, int], str] | None:
    """Take the tests' own generator, so that there is one."""
    spec = importlib.util.spec_from_file_location("bench_large_file", _GENERATOR)
    if spec is None or spec.loader is None:
        return None
    module = importlib.util.module_from_spec(spec)
    try:
        spec.loader.exec_module(module)
    except (ImportError, OSError):
        return None
    generator: Callable[[int, int], str] | None = getattr(module, "large_text", None)
    return generator


def _time_loading(file: Path) -> tuple[float, Loaded]:
    times = []
    for _ in range(_LOADS):
        start = time.perf_counter()
        loaded = load(str(file))
        times.append(time.perf_counter() - start)
    return median(times), loaded


def _time_deciding(table: RouteTable) -> float:
    now = datetime.now(UTC)  # noqa: TID251 - the benchmark's own clock
    numbers = itertools.product(range(_MUNICIPALITIES), range(_VENDORS), Information)
    cells = [
        Envelope(
            NAME, f"kommune-{municipality}", f"V{vendor}_{municipality}", f"vendor-{vendor}", "system", information
        )
        for municipality, vendor, information in numbers
    ]
    random.Random(1).shuffle(cells)  # noqa: S311 - an order, not a secret
    start = time.perf_counter()
    for cell in cells:
        table.decide(cell, now)
    return (time.perf_counter() - start) / len(cells)
