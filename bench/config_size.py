"""Loading and checking a configuration of a whole country, and deciding with it."""

import importlib.util
import itertools
import random
import time
from collections.abc import Callable
from datetime import UTC, datetime
from pathlib import Path
from statistics import median

from bench.processes import BenchFailed
from bench.report import Findings, Goal, Table
from bench.scene import Scene
from gateway.config.load import Loaded, load
from gateway.model import Envelope, Information
from gateway.routing.table import RouteTable
from gateway.surfaces.vkp_r4 import NAME

_MUNICIPALITIES, _VENDORS = 400, 20
_GENERATOR = Path(__file__).parents[1] / "tests" / "gateway" / "config" / "conftest.py"
_LOADS = 3
_LOAD_LIMIT = 1.0
_DECIDE_LIMIT = 10e-6


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
        if loaded.table is None:
            raise BenchFailed(f"the large file is refused: {loaded.problems[0]}")
        deciding = _time_deciding(loaded.table)
    size = f"{_MUNICIPALITIES} municipalities x {_VENDORS} vendors x {len(Information)} types"
    rows = (
        ("load and check", f"{loading:.2f} s", f"{file.stat().st_size / 1e6:.1f} MB of YAML"),
        ("decide one message", f"{deciding * 1e6:.2f} us", "mean over every cell"),
    )
    goals = (
        Goal("load and check the file", f"< {_LOAD_LIMIT:g} s", f"{loading:.2f} s", loading < _LOAD_LIMIT),
        Goal("decide one message", "< 10 us", f"{deciding * 1e6:.2f} us", deciding < _DECIDE_LIMIT),
    )
    return Findings("config", (Table(f"Configuration: {size}", ("", "time", ""), rows),), goals)


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
