"""Run the translators' tests against a wheel with compiled translators: `.venv/bin/python scripts/try_wheel.py FILE.whl`.

The wheel is installed into an environment of its own, to which the one that runs this lends the packages that tests need. Of the
checkout only tests, scripts and the file of routes are there, so that nothing can be taken from its source.
"""

import json
import shutil
import subprocess
import sys
import sysconfig
import tempfile
import tomllib
import venv
from pathlib import Path

ROOT = Path(__file__).resolve().parents[1]
_WHERE = """\
import importlib, json, pkgutil, translators
names = [found.name for found in pkgutil.walk_packages(translators.__path__, "translators.")]
print(json.dumps({name: importlib.import_module(name).__file__ for name in ["translators", *names]}))
"""


def main(wheel: Path) -> int:
    """Install the wheel, see that what should be is compiled, and return what the tests end with."""
    with tempfile.TemporaryDirectory(prefix="wheel-") as name:
        folder = Path(name).resolve()
        python = _installed(wheel.resolve(), folder)
        _see_that_it_is_compiled(python, folder)
        tests = [str(python), "-m", "pytest", "-n", "2", "--dist", "worksteal", "-m", "not slow", "tests/translators"]
        return _run(tests, folder / "checkout").returncode


def _installed(wheel: Path, folder: Path) -> Path:
    """Return the Python of a new environment with the wheel."""
    venv.create(folder / "environment", symlinks=True)
    python = folder / "environment" / "bin" / "python"
    pip = [sys.executable, "-I", "-m", "pip", "--python", str(python), "--quiet", "--disable-pip-version-check"]
    _run([*pip, "install", "--no-deps", "--no-index", str(wheel)], folder).check_returncode()
    (site,) = (folder / "environment" / "lib").glob("python*/site-packages")
    checkout = folder / "checkout"
    shutil.copytree(ROOT / "tests", checkout / "tests", ignore=shutil.ignore_patterns("__pycache__"))
    shutil.copytree(ROOT / "scripts", checkout / "scripts", ignore=shutil.ignore_patterns("__pycache__"))
    for file in ("pyproject.toml", "routes.yaml"):
        shutil.copy(ROOT / file, checkout)
    # Some tests read the package's tables by their place in the checkout.
    (checkout / "translators").symlink_to(site / "translators")
    # Folders that a file of paths names are searched last, and their own files of paths are not read: the checkout stays out.
    (site / "lent.pth").write_text(f"{sysconfig.get_path('purelib')}\n{checkout}\n", encoding="utf-8")
    return python


def _see_that_it_is_compiled(python: Path, folder: Path) -> None:
    places: dict[str, str] = json.loads(
        subprocess.run(  # noqa: S603 - the Python of the environment
            [python, "-c", _WHERE], cwd=folder, check=True, stdout=subprocess.PIPE, text=True
        ).stdout
    )
    with (ROOT / "pyproject.toml").open("rb") as file:
        hook = tomllib.load(file)["tool"]["hatch"]["build"]["targets"]["wheel"]["hooks"]["custom"]
    pure = {path.removesuffix(".py").removesuffix("/__init__").replace("/", ".") for path in hook["pure"]}
    for name, place in places.items():
        if not place.startswith(str(folder)):
            sys.exit(f"{name} is not the wheel's: {place}")
        if (name in pure) == place.endswith(".so"):
            sys.exit(f"{name} is {'' if place.endswith('.so') else 'not '}compiled: {place}")
    shown = "translators.fhir.quick_check"
    print(f"{len(places) - len(pure)} modules are compiled, as {shown}: {Path(places[shown]).name}", flush=True)


def _run(command: list[str], folder: Path) -> "subprocess.CompletedProcess[bytes]":
    return subprocess.run(command, cwd=folder, check=False)  # noqa: S603 - the Python of the environment, or pip


if __name__ == "__main__":
    if len(sys.argv) != 2:
        sys.exit("usage: .venv/bin/python scripts/try_wheel.py FILE.whl")
    sys.exit(main(Path(sys.argv[1])))
