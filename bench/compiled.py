"""What translating takes with the compiled translators of `make wheel`, beside the pure ones: each in processes of its own, in turns."""

import gc
import json
import os
import subprocess
import sys
import sysconfig
import tempfile
import time
import zipfile
from pathlib import Path
from statistics import median

from bench.message import alarm_follow_up, failed_dispense
from bench.processes import BenchFailed
from bench.report import Table
from translators import translate
from translators.contract import Settings
from translators.fhir import xml_codec
from translators.fhir.elements import stu3
from translators.fhir.json_codec import decode, encode
from translators.jft import SERVICE
from translators.national_number import TEST_KINDS

ROOT = Path(__file__).parents[1]
_TURNS = 3
_WARM_UP = 100
_SETTINGS = Settings(frozenset(TEST_KINDS), source_system="Bench")
_TITLE = "Compiled translators beside pure ones, from bytes to bytes"


def table(repeats: int) -> Table:
    """Time both on the core of whoever calls; where there is no wheel that fits, the table says so and has no rows."""
    columns = ("", "pure, CPU microseconds", "compiled, CPU microseconds", "compiled, per CPU second")
    with tempfile.TemporaryDirectory() as name:
        missing = unpack(Path(name))
        if missing:
            return Table(_TITLE, columns, (), (f"The compiled ones are left out: {missing}; `make wheel` makes it.",))
        pure, compiled = [], []
        for _ in range(_TURNS):
            pure.append(_timed(None, repeats))
            compiled.append(_timed(Path(name), repeats))
    rows = []
    for form in pure[0]:
        first, second = (median(turn[form] for turn in turns) for turns in (pure, compiled))
        rows.append((form, f"{first * 1e6:.0f}", f"{second * 1e6:.0f}", f"{1 / second:,.0f}"))
    return Table(_TITLE, columns, tuple(rows), (f"Medians of CPU time, and of {_TURNS} processes of each.",))


def environment(folder: Path) -> dict[str, str]:
    """Return what a process needs in its environment to take the product from a folder, and not from where it starts."""
    return {"PYTHONPATH": str(folder), "PYTHONSAFEPATH": "1"}


def unpack(folder: Path) -> str | None:
    """Unpack the wheel; return what is missing where there is none of this Python and this source."""
    tag = f"cp{sys.version_info.major}{sys.version_info.minor}"
    wheel = next(ROOT.glob(f"dist/vkp_gateway-*-{tag}-{tag}-*.whl"), None)
    if wheel is None:
        return "there is no wheel for this Python in dist"
    with zipfile.ZipFile(wheel) as archive:
        archive.extractall(folder)
    for path in (ROOT / "translators").rglob("*.py"):
        packed = folder / path.relative_to(ROOT)
        if not packed.exists() or packed.read_bytes() != path.read_bytes():
            return "the wheel was made of another source"
    return None


def _timed(folder: Path | None, repeats: int) -> dict[str, float]:
    """Time in a process that takes the translators from this folder, or from the checkout."""
    around = {**os.environ, **environment(folder or ROOT)}
    command = [sys.executable, "-m", "bench.compiled", str(repeats)]
    done = subprocess.run(command, cwd=ROOT, env=around, capture_output=True, text=True, check=False)  # noqa: S603 - this module
    if done.returncode:
        raise BenchFailed(f"translators were not timed: {done.stderr.strip().splitlines()[-1]}")
    found: dict[str, float] = json.loads(done.stdout)
    is_compiled = found.pop("compiled") == 1
    if is_compiled != (folder is not None):
        raise BenchFailed("the translators that were timed are not those that were meant")
    return found


def _seconds(data: bytes, surface: str, repeats: int, *, is_xml: bool = False) -> float:
    times = []
    gc.collect()
    for _ in range(_WARM_UP + repeats):
        start = time.thread_time()
        tree = xml_codec.decode(data, stu3())[0] if is_xml else decode(data)
        result = translate.translate(tree, surface, SERVICE, _SETTINGS)
        times.append(time.thread_time() - start)
        if result.refusal is not None:
            raise BenchFailed(f"the message is refused: {result.refusal}")
    return median(times[_WARM_UP:])


def main(repeats: int) -> None:
    """Print what a message of each form takes with the translators that are there."""
    xml = failed_dispense()
    as_json = encode(xml_codec.decode(xml, stu3())[0])
    found = {
        "compiled": float(str(translate.__file__).endswith(str(sysconfig.get_config_var("EXT_SUFFIX")))),
        "R4": _seconds(alarm_follow_up(), "vkp-r4", repeats),
        "STU3 JSON": _seconds(as_json, "vkp-stu3", repeats),
        "STU3 XML": _seconds(xml, "vkp-stu3", repeats, is_xml=True),
    }
    print(json.dumps(found))


if __name__ == "__main__":
    main(int(sys.argv[1]))
