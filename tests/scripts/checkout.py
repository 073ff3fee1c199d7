"""A small checkout to be set up: packages with wheels of their own in a folder, so nothing is fetched from anywhere."""

from __future__ import annotations

import base64
import hashlib
import os
import subprocess
import sys
import zipfile
from dataclasses import dataclass
from pathlib import Path

ROOT = Path(__file__).parents[2]
SCRIPT = ROOT / "scripts" / "setup.py"
PROJECT = """\
[build-system]
requires = []
build-backend = "backend"
backend-path = ["."]
"""
BACKEND = """\
import zipfile
from pathlib import Path

def build_editable(folder, settings=None, metadata=None):
    name = "checkout-1-py3-none-any.whl"
    with zipfile.ZipFile(Path(folder) / name, "w") as wheel:
        wheel.writestr("checkout.pth", str(Path.cwd()))
        wheel.writestr("checkout-1.dist-info/METADATA", "Metadata-Version: 2.1\\nName: checkout\\nVersion: 1\\nRequires-Dist: alpha\\n")
        wheel.writestr("checkout-1.dist-info/WHEEL", "Wheel-Version: 1.0\\nRoot-Is-Purelib: true\\nTag: py3-none-any\\n")
        wheel.writestr("checkout-1.dist-info/RECORD", "checkout.pth,,\\n")
    return name
"""


@dataclass(frozen=True)
class Project:
    """A checkout with a small lock, of the package alpha, and a big one, with beta too."""

    root: Path

    @property
    def folder(self) -> Path:
        return self.root / ".venv"

    @property
    def stamp(self) -> Path:
        return self.folder / ".ready"

    def set_up(self, purpose: str, **environment: str) -> subprocess.CompletedProcess[str]:
        """Run the script of this checkout."""
        return run(sys.executable, str(self.root / "scripts" / "setup.py"), purpose, wheels=self.root, **environment)

    def does(self, purpose: str) -> bool:
        """Set up, and say whether anything had to be done."""
        done = self.set_up(purpose)
        assert done.returncode == 0, done.stderr
        return bool(done.stderr)

    def installed(self) -> set[str]:
        """Return the names of what is installed beside pip."""
        program = "from importlib.metadata import distributions as d; print(*{each.name for each in d()})"
        done = run(str(self.folder / "bin" / "python"), "-c", program, wheels=self.root)
        return set(done.stdout.split()) - {"pip", "setuptools"}

    def lock(self, purpose: str, *packages: str) -> None:
        """Write a lock of packages, each a name and a version, with their wheels."""
        lines = [f"{package} \\\n    --hash=sha256:{wheel(self.root, *package.split('=='))}\n" for package in packages]
        (self.root / "locks" / f"{purpose}.lock").write_text("".join(lines), encoding="utf-8")


def run(*command: str, wheels: Path, **environment: str) -> subprocess.CompletedProcess[str]:
    """Run a command with wheels from a folder alone."""
    kept = {name: value for name, value in os.environ.items() if not name.startswith(("PIP_", "SETUP_"))}
    own = {"PIP_NO_INDEX": "1", "PIP_FIND_LINKS": str(wheels), "PIP_NO_CACHE_DIR": "1", "PIP_RETRIES": "0"}
    everything = {**kept, **own, **environment}
    return subprocess.run(command, capture_output=True, text=True, env=everything, timeout=300, check=False)


def wheel(folder: Path, name: str, version: str) -> str:
    """Write a wheel of a module, the same every time; return its hash."""
    told = f"{name}-{version}.dist-info"
    files = {
        f"{name}.py": "",
        f"{told}/METADATA": f"Metadata-Version: 2.1\nName: {name}\nVersion: {version}\n",
        f"{told}/WHEEL": "Wheel-Version: 1.0\nRoot-Is-Purelib: true\nTag: py3-none-any\n",
    }
    path = folder / f"{name}-{version}-py3-none-any.whl"
    with zipfile.ZipFile(path, "w") as archive:
        record = ""
        for inside, text in files.items():
            digest = base64.urlsafe_b64encode(hashlib.sha256(text.encode()).digest()).decode().rstrip("=")
            record += f"{inside},sha256={digest},{len(text)}\n"
            archive.writestr(zipfile.ZipInfo(inside), text)
        archive.writestr(zipfile.ZipInfo(f"{told}/RECORD"), f"{record}{told}/RECORD,,\n")
    return hashlib.sha256(path.read_bytes()).hexdigest()


def one_line(done: subprocess.CompletedProcess[str]) -> str:
    """Return the last line that was said; fails unless the command failed without a traceback."""
    assert done.returncode == 1, done.stderr
    lines = [line for line in done.stderr.splitlines() if not line.startswith("set-up: setting up")]
    assert len(lines) == 1, done.stderr
    return lines[0]
