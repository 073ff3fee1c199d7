"""A hook of hatchling that puts the translators into a wheel compiled by mypyc beside their source; `make wheel` enables it.

Python takes the compiled module where one is there that fits it, and the source elsewhere. What is left pure is listed with
its reason in pyproject.toml. The source folder itself stays as it is: all is made in a folder that goes when the wheel is done.
"""

import os
import shutil
import subprocess
import sys
import sysconfig
import tempfile
from pathlib import Path
from typing import Any

from hatchling.builders.hooks.plugin.interface import BuildHookInterface

_SETUP = """\
from setuptools import setup
from mypyc.build import mypycify

setup(name="translators", packages=[], ext_modules=mypycify({files!r}, opt_level={level!r}, debug_level="0", separate={groups!r}))
"""
_OPTIMIZED = "2"
"""Of the C compiler, as Python itself is usually built; mypyc asks for 3 otherwise."""


class CompiledTranslators(BuildHookInterface):
    """Compiles the package translators for the Python that runs it."""

    def initialize(self, version: str, build_data: dict[str, Any]) -> None:
        """Compile, and name the results as files of the wheel; an installation in place stays pure."""
        if version == "editable":
            return
        _look_for_compiler()
        # It goes with this object, however the build ends.
        self._made_in = tempfile.TemporaryDirectory(prefix="translators-")
        folder = Path(self._made_in.name)
        source = Path(self.root) / "translators"
        shutil.copytree(source, folder / "translators", ignore=shutil.ignore_patterns("__pycache__"))
        _compile(folder, self._files(folder))
        build_data["pure_python"] = False
        build_data["infer_tag"] = True
        for made in folder.rglob(f"*{sysconfig.get_config_var('EXT_SUFFIX')}"):
            place = made.relative_to(folder)
            if place.parts[0] != "build":
                build_data["force_include"][str(made)] = str(place)

    def _files(self, folder: Path) -> list[str]:
        every = {str(path.relative_to(folder)) for path in (folder / "translators").rglob("*.py")}
        pure = set(self.config["pure"])
        if unknown := sorted(pure - every):
            sys.exit(f"pyproject.toml leaves out what is not there: {', '.join(unknown)}")
        return sorted(every - pure)


def _look_for_compiler() -> None:
    remedy = "install it (Debian, Ubuntu: apt install gcc libc6-dev python3-dev), or use the pure package, which does the same"
    compiler = os.environ.get("CC", str(sysconfig.get_config_var("CC") or "cc")).split()[0]
    if shutil.which(compiler) is None:
        sys.exit(f"there is no C compiler ({compiler}): {remedy}")
    if not (Path(sysconfig.get_path("include")) / "Python.h").exists():
        sys.exit(f"there is no Python.h for this Python: {remedy}")


def _compile(folder: Path, files: list[str]) -> None:
    """Compile these files in place, in as many groups as there are cores to compile them."""
    count = min(os.cpu_count() or 1, 4)
    by_size = sorted(files, key=lambda name: (folder / name).stat().st_size)
    groups = [(by_size[number::count], f"translators_{number}") for number in range(count)]
    setup = folder / "setup.py"
    setup.write_text(_SETUP.format(files=files, level=_OPTIMIZED, groups=groups), encoding="utf-8")
    command = [sys.executable, "-P", str(setup), "--quiet", "build_ext", "--inplace", "--parallel", str(count)]
    environment = {**os.environ, "MYPYPATH": str(folder)}
    done = subprocess.run(  # noqa: S603 - this Python and its mypyc
        command, cwd=folder, env=environment, stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True, check=False
    )
    if done.returncode:
        sys.stderr.write(done.stdout)
        sys.exit(f"mypyc or the C compiler failed ({done.returncode}); what it said is above")
