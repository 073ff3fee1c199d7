"""The code systems: all that was published is there, each with its source, and nothing can be changed."""

import os
import re
from dataclasses import FrozenInstanceError
from pathlib import Path
from xml.etree import ElementTree as ET

import pytest

from translators.terminology import ALERT, CodeSystem, code_system, code_systems

PREFIX = "http://ehelse.no/fhir/CodeSystem/vkp-"
DAY = re.compile(r"20[12]\d-(0[1-9]|1[0-2])(-(0[1-9]|[12]\d|3[01]))?")
DEFINITIONS = os.environ.get("VKP_DEFINITIONS")


def published() -> list[tuple[str, str, str]]:
    """Return name, code and display of every code in published.txt, which was written apart from the data files."""
    rows, name = [], ""
    for line in Path(__file__).with_name("published.txt").read_text(encoding="utf-8").splitlines():
        if line.startswith(" "):
            code, display = line.strip().split(" ", 1)
            rows.append((name, code, display))
        else:
            name = line.split()[0]
    return rows


def known(url: str) -> CodeSystem:
    """Return the code system of that URL, which must be there."""
    system = code_system(url)
    assert system is not None, url
    return system


def names(systems: tuple[CodeSystem, ...]) -> set[str]:
    """Return the names of code systems, without what all URLs begin with."""
    return {system.url.removeprefix(PREFIX) for system in systems}


def test_every_published_code_is_there():
    """With its display, to the letter."""
    for name, code, display in published():
        concept = known(PREFIX + name).concept(code)
        assert concept is not None, (name, code)
        assert (concept.code, concept.display) == (code, display)


def test_no_code_is_there_that_was_not_published():
    """Beside the deleted code systems, which the repository names in its history alone."""
    deleted = tuple(system for system in code_systems() if system.until)
    assert names(deleted) == {"composition-class-v090", "encounter-type-v090", "flag-code-v090"}
    ours = {(PREFIX + name, code) for name, code, _ in published()}
    theirs = {(system.url, c.code) for system in code_systems() if not system.until for c in system.concepts}
    assert theirs == ours


def test_versions_are_as_published():
    """A version is known unless the code system is only known from the history, which its note then says."""
    lines = Path(__file__).with_name("published.txt").read_text(encoding="utf-8").splitlines()
    versions = dict(line.split() for line in lines if not line.startswith(" ") and " " in line)
    for system in code_systems():
        assert system.version == versions.get(system.url.removeprefix(PREFIX))
        assert (system.version is None) == ("version is not known" in system.note)


@pytest.mark.parametrize("system", code_systems(), ids=lambda system: system.url.removeprefix(PREFIX))
def test_validity_and_source(system: CodeSystem):
    """Each file says since when it holds and where it is from, and has each code once."""
    assert DAY.fullmatch(system.since)
    assert system.until is None or (DAY.fullmatch(system.until) and system.since < system.until)
    assert re.search(r"HL7Norway/Velferdsteknologi, (commit [0-9a-f]{7} |change of 20|history of )", system.source)
    codes = [concept.code for concept in system.concepts]
    assert codes
    assert len(set(codes)) == len(codes)


def test_urls_are_unique():
    """No URL, of whatever version, names two code systems."""
    urls = [url for system in code_systems() for url in (system.url, *system.also)]
    assert len(set(urls)) == len(urls)
    assert all(url.startswith(PREFIX) for url in urls)


def test_a_sibling_version_is_the_same_system():
    """Published examples write versions whose content is not known apart."""
    for sibling, version in (("events-v05", "events-v06"), ("events-v06", "events-v06")):
        assert known(f"{PREFIX}medicationdispense-{sibling}").url == f"{PREFIX}medicationdispense-{version}"
    assert known(f"{PREFIX}emergency-level-v06").url == f"{PREFIX}emergency-level-v05"


@pytest.mark.parametrize(
    "url", ["", ALERT + "0", ALERT.upper(), "http://ehelse.no/fhir/ValueSet/vkp-alert-code-v090", "http://loinc.org"]
)
def test_only_exact_urls_are_known(url: str):
    """A wrong URL is for the repairs, not for this table."""
    assert code_system(url) is None


def test_unknown_code_has_no_concept():
    """Codes are exact too."""
    alerts = known(ALERT)
    assert [alerts.concept(code) for code in ("1.24", " 1.1", "01", "")] == [None] * 4


def test_a_definition_may_be_missing():
    """As the one of "not reported" is."""
    concept = known(f"{PREFIX}triage-v090").concept("NR")
    assert concept is not None
    assert concept.definition is None


def test_nothing_can_be_changed():
    """What is handed out is shared by all messages."""
    alerts = known(ALERT)
    with pytest.raises(FrozenInstanceError):
        alerts.url = ""  # type: ignore[misc]
    with pytest.raises(TypeError):
        alerts._by_code["1"] = alerts.concepts[0]  # type: ignore[index]
    for value in (alerts, alerts.concepts[0], alerts.earlier[1], alerts.earlier[1].concepts[0]):
        assert isinstance(hash(value), int)


if DEFINITIONS:

    def test_as_in_the_official_files():
        """Compare with the published CodeSystem files, wherever they lie below the folder VKP_DEFINITIONS."""
        files = sorted(Path(DEFINITIONS or "").rglob("vkp-*.codesystem.xml"))
        assert files
        for file in files:
            root = ET.parse(file).getroot()  # noqa: S314 - published definitions, chosen by who runs the tests
            system = known(_value(root, "url") or "")
            assert (system.version, system.status) == (_value(root, "version"), _value(root, "status"))
            official = [
                (_value(concept, "code"), _value(concept, "display"), _value(concept, "definition") or None)
                for concept in root.iter("{http://hl7.org/fhir}concept")
            ]
            ours = [(concept.code, concept.display, concept.definition) for concept in system.concepts]
            later = 5 if system.url.endswith("composition-class-v06") else 0
            assert [tuple(" ".join(x.split()) if x else x for x in row) for row in official] == ours[
                : len(ours) - later
            ], file


def _value(element: ET.Element, name: str) -> str | None:
    found = element.find(f"{{http://hl7.org/fhir}}{name}")
    return None if found is None else found.get("value")
