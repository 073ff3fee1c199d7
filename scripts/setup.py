"""Set up the virtual environment of this checkout: `python3 scripts/setup.py run|dev|browser|wheel [FOLDER]`, as `make` calls it.

It installs exactly what `locks/run.lock` or `locks/dev.lock` names, and the checkout itself in place; `browser` adds `locks/browser.lock`
to `dev`, where a Chromium is on the machine (BROWSER_TESTS=required: it must be), and `wheel` `locks/wheel.lock`. A stamp in the folder
says for which Python, place and locks it was finished; a folder whose stamp does not fit, or that has none, is made anew.
The environment variable SETUP_PIP may name a requirements file with the pip that does the work; otherwise it is the one
that comes with the Python. On failure one line says what to do.
"""

import fcntl
import hashlib
import importlib.util
import json
import os
import platform
import re
import shutil
import subprocess
import sys
import tempfile
import time
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Iterator

# Before anything that an older Python cannot run; the syntax of this file is one that Python 3.6 can read.
if sys.version_info < (3, 11):  # noqa: UP036 - it is the Python of whoever calls
    sys.exit(
        f"set-up: Python 3.11 or newer is needed, and {sys.executable} is {platform.python_version()}: "
        "install one, or name it with make PYTHON=/path/to/python3.11"
    )

ROOT = Path(__file__).resolve().parents[1]
RUN, DEV, BROWSER, WHEEL = "run", "dev", "browser", "wheel"
_ADDED = {BROWSER: "what drives a browser", WHEEL: "what compiles the translators"}
"""What each lock adds to that of `dev`."""
_STAMP = ".ready"
_LOG = "setup.log"
_DOWNLOADS = 2
"""Runs of pip at the same time: most of what pip does is to read an index's pages, one after the other."""
_ELSEWHERE = {"PIP_CONSTRAINT", "PIP_NO_BINARY", "PIP_PREFIX", "PIP_REQUIREMENT", "PIP_ROOT", "PIP_TARGET", "PIP_USER"}
"""Settings of whoever calls that would install something else, or to another place."""
_UNREACHABLE = re.compile(
    r"NewConnectionError|NameResolutionError|ConnectTimeout|ReadTimeout|ProxyError|SSLError|RemoteDisconnected"
    r"|ProtocolError|Connection (?:refused|reset|aborted|broken)|Max retries exceeded|Network is unreachable"
    r"|Name or service not known|Temporary failure in name resolution"
)


_FULL = "the disk is full: make room, and run make again"


class SetupError(Exception):
    """Set-up cannot go on; the text is one line that says why, and what to do."""


def main(arguments: list[str]) -> None:
    """Set up for a purpose, `run`, `dev`, `browser` or `wheel`, unless that is done already."""
    if not 1 <= len(arguments) <= 2 or arguments[0] not in (RUN, DEV, *_ADDED):
        sys.exit("usage: python3 scripts/setup.py run|dev|browser|wheel [FOLDER]")
    purpose = arguments[0]
    folder = ROOT / (arguments[1] if len(arguments) > 1 else ".venv")
    try:
        with _alone():
            _set_up(DEV if purpose in _ADDED else purpose, folder)
            if purpose == WHEEL or (purpose == BROWSER and _has_browser()):
                _add(purpose, folder)
    except SetupError as error:
        sys.exit(f"set-up: {error}")
    except OSError as error:
        sys.exit(f"set-up: {error.filename or folder}: {error.strerror}: mend that, and run make again")
    except KeyboardInterrupt:
        sys.exit("set-up: interrupted; the next make begins it anew")


def _set_up(purpose: str, folder: Path) -> None:
    if folder.is_symlink() or (folder.exists() and not folder.is_dir()):
        raise SetupError(f"{folder} is in the way: remove it, and run make again")
    wanted = _wanted(purpose, folder)
    found = _stamp(folder)
    same_base = all(found.get(key) == wanted[key] for key in ("python", "place", "locks", "pip") if wanted[key])
    same_project = found.get("project") == wanted["project"]
    complete = same_base and found.get("purpose") in (purpose, DEV)
    if complete and same_project:
        return
    start = time.monotonic()
    _say(f"setting up {folder.name} for {purpose} with Python {platform.python_version()}")
    # Whatever interrupts what follows, no stamp says that the folder is finished.
    (folder / _STAMP).unlink(missing_ok=True)
    if not same_base:
        _make(folder)
    pip = _Pip(folder)
    if not complete:
        there = _requirements(RUN) if same_base else []
        pip.install([each for each in _requirements(purpose) if each not in there])
    pip.install_project()
    pip.check()
    kept = {key: found[key] for key in ("purpose", "pip") if complete}
    _write_stamp(folder, {**wanted, **kept})
    _say(f"{folder.name} is ready after {time.monotonic() - start:.0f} seconds")


def _has_browser() -> bool:
    """Whether there is a Chromium to be driven; where there is none, that is said."""
    if shutil.which(os.environ.get("CHROMIUM", "chromium")) is not None:
        return True
    remedy = "install it (Debian: apt-get install chromium), or name it with CHROMIUM=/path/to/chromium"
    if os.environ.get("BROWSER_TESTS") == "required":
        raise SetupError(f"there is no Chromium: {remedy}")
    _say(f"there is no Chromium, so THE BROWSER TESTS WILL NOT RUN: {remedy}")
    return False


def _add(purpose: str, folder: Path) -> None:
    """Install what a purpose needs beside `dev`, unless that is done."""
    stamp = folder / f"{_STAMP}-{purpose}"
    wanted = _hash(_lock(purpose))
    if stamp.exists() and stamp.read_text(encoding="utf-8") == wanted:
        return
    _say(f"adding {_ADDED[purpose]}")
    pip = _Pip(folder)
    pip.install(_requirements(purpose))
    pip.check()
    stamp.write_text(wanted, encoding="utf-8")


# --- what is finished ---


def _wanted(purpose: str, folder: Path) -> dict[str, str]:
    """Return the stamp of a finished folder. `pip` is empty where any pip will do."""
    pip = os.environ.get("SETUP_PIP")
    return {
        "purpose": purpose,
        "python": f"{platform.python_version()} {platform.machine()} {sys.base_prefix}",
        "place": str(folder),
        "locks": _hash(_lock(RUN), _lock(DEV)),
        "pip": _hash(ROOT / pip) if pip else "",
        "project": _hash(ROOT / "pyproject.toml"),
    }


def _stamp(folder: Path) -> dict[str, str]:
    """Return the stamp of a folder; empty where there is none, or one that cannot be read."""
    try:
        found = json.loads((folder / _STAMP).read_text(encoding="utf-8"))
    except (OSError, ValueError):
        return {}
    return found if isinstance(found, dict) and (folder / "bin" / "python").exists() else {}


def _write_stamp(folder: Path, stamp: dict[str, str]) -> None:
    """Write a stamp whole or not at all."""
    unfinished = folder / f"{_STAMP}.new"
    unfinished.write_text(json.dumps(stamp, indent=1) + "\n", encoding="utf-8")
    unfinished.replace(folder / _STAMP)


def _hash(*paths: Path) -> str:
    digest = hashlib.sha256()
    for path in paths:
        digest.update(hashlib.sha256(path.read_bytes()).digest())
    return digest.hexdigest()


@contextmanager
def _alone() -> "Iterator[None]":
    """Wait while another set-up of this checkout is at work."""
    checkout = os.open(ROOT, os.O_RDONLY)
    # Its pip has it too, so that one that outlives a killed set-up is waited for.
    os.set_inheritable(checkout, True)
    try:
        try:
            fcntl.flock(checkout, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError:
            _say("waiting for another set-up of this checkout")
            fcntl.flock(checkout, fcntl.LOCK_EX)
        yield
    finally:
        os.close(checkout)


# --- how it comes about ---


def _lock(purpose: str) -> Path:
    return ROOT / "locks" / f"{purpose}.lock"


def _requirements(purpose: str) -> list[str]:
    """Return the requirements of a lock, each with its hashes."""
    text = _lock(purpose).read_text(encoding="utf-8")
    return re.findall(r"^\S.*(?:\n[ \t].*)*", text, re.MULTILINE)


def _make(folder: Path) -> None:
    """Make a virtual environment with a pip, in place of whatever is there."""
    version = f"{sys.version_info.major}.{sys.version_info.minor}"
    remedy = f"install them (Debian, Ubuntu: apt install python{version}-venv), or take another with make PYTHON=..."
    for module in ("venv", "ensurepip"):
        if importlib.util.find_spec(module) is None:
            raise SetupError(f"this Python has no {module}, with which environments are made: {remedy}")
    done = _run([sys.executable, "-m", "venv", "--clear", str(folder)])
    if done.returncode and ("Permission denied" in done.stdout or "Read-only file system" in done.stdout):
        raise SetupError(f"{folder} cannot be written: let this user write there, or use a checkout of your own")
    if done.returncode and "No space left on device" in done.stdout:
        raise SetupError(_FULL)
    if done.returncode:
        raise SetupError(f"python -m venv failed ({_last_line(done.stdout)}): its modules venv and ensurepip: {remedy}")
    pip = os.environ.get("SETUP_PIP")
    if pip:
        _Pip(folder).run("install", *_WHEELS_ONLY, "-r", str(ROOT / pip))


_WHEELS_ONLY = ("--no-deps", "--require-hashes", "--only-binary", ":all:")


class _Pip:
    """The pip of a virtual environment."""

    def __init__(self, folder: Path) -> None:
        self._folder = folder

    def install(self, requirements: list[str]) -> None:
        """Install these; nothing is installed unless everything could be fetched."""
        with tempfile.TemporaryDirectory(dir=self._folder, prefix="wheels-") as name:
            wheels = Path(name)
            parts = [wheels / f"{number}.txt" for number in range(_DOWNLOADS)]
            for number, part in enumerate(parts):
                part.write_text("\n".join(requirements[number::_DOWNLOADS]) + "\n", encoding="utf-8")
            with ThreadPoolExecutor(_DOWNLOADS) as pool:
                list(pool.map(lambda part: self._fetch(part, wheels), parts))
            every = [word for part in parts for word in ("-r", str(part))]
            self.run("install", "--no-compile", "--no-index", "--find-links", name, *_WHEELS_ONLY, *every)

    def _fetch(self, part: Path, wheels: Path) -> None:
        self.run("download", "--dest", str(wheels), *_WHEELS_ONLY, "-r", str(part))

    def install_project(self) -> None:
        """Install the checkout in place; its build backend is among the requirements."""
        self.run("install", "--no-compile", "--no-index", "--no-deps", "--no-build-isolation", "--editable", str(ROOT))

    def check(self) -> None:
        """See that everything that is installed has what it needs."""
        self.run("check")

    def run(self, *arguments: str) -> None:
        """Run pip, apart from the caller's PYTHON* settings and folder."""
        python = str(self._folder / "bin" / "python")
        done = _run([python, "-I", "-m", "pip", "--disable-pip-version-check", "--no-input", *arguments, "--quiet"])
        with (self._folder / _LOG).open("a", encoding="utf-8") as log:
            log.write(f"pip {' '.join(arguments)}\n{done.stdout}\n")
        if done.returncode:
            raise SetupError(f"{_reason(arguments[0], done.stdout)} (all that pip said: {self._folder / _LOG})")


def _reason(command: str, said: str) -> str:
    """Say in one line why pip failed, and what to do."""
    if "DO NOT MATCH THE HASHES" in said:
        return "the package index gave a file that is not the one of the lock: use an index that you trust"
    if "No space left on device" in said:
        return _FULL
    if command in ("download", "install") and _UNREACHABLE.search(said):
        return (
            "pip reached no package index: mend the network, or name an index with PIP_INDEX_URL; then run make again"
        )
    found = re.search(r"No matching distribution found for (\S+)", said)
    if found:
        system = f"Python {platform.python_version()} on {platform.system()} {platform.machine()}"
        # pip says the same of an index that it did not reach, where PIP_RETRIES=0 has it try only once.
        return (
            f"pip found no wheel of {found.group(1)} for {system}: see that it reaches its index (PIP_INDEX_URL), "
            "or take another Python with make PYTHON=..., see docs/dependencies.md"
        )
    return f"pip {command} failed: {_last_line(said)}"


def _run(command: list[str]) -> "subprocess.CompletedProcess[str]":
    environment = {name: value for name, value in os.environ.items() if name not in _ELSEWHERE}
    return subprocess.run(  # noqa: S603 - this Python and its pip
        command,
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
        text=True,
        env=environment,
        check=False,
        close_fds=False,
    )


def _last_line(said: str) -> str:
    return next((line.strip() for line in reversed(said.splitlines()) if line.strip()), "it said nothing")


def _say(text: str) -> None:
    print(f"set-up: {text}", file=sys.stderr, flush=True)


if __name__ == "__main__":
    main(sys.argv[1:])
