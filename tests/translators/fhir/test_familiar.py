"""Names that a sender invents are not kept for good: which texts are read apart, and what that leaves behind."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path

import pytest

from translators.contract import Refused
from translators.fhir import familiar
from translators.fhir.familiar import LARGEST, Names, apart
from translators.fhir.xml_parser import parse

MESSAGES = Path(__file__).parents[3] / "translators" / "examples" / "stu3"
GROWTH = """
import resource
import sys
from translators.fhir.xml_parser import parse

def resident():
    most = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
    return most if sys.platform == "darwin" else most * 1024

def strange(number):
    return MAKE

parse(strange(-1))
before = resident()
for number in range(TEXTS):
    parse(strange(number))
print(resident() - before)
"""


@pytest.mark.parametrize("path", sorted(MESSAGES.glob("*.xml")), ids=lambda path: path.stem)
def test_what_senders_write_is_familiar(path: Path) -> None:
    """Ordinary messages are read at once: a thread of their own would cost as much as four readings."""
    assert Names().are_familiar(path.read_bytes())


def test_a_hint_for_a_schema_is_familiar() -> None:
    """Most published messages have one on their root."""
    hint = b' xsi:schemaLocation="http://hl7.org/fhir ../../fhir-all-xsd/fhir-single.xsd"'
    instance = b' xmlns:xsi="http://www.w3.org/2001/XMLSchema-instance"'
    assert Names().are_familiar(b'<Bundle xmlns="http://hl7.org/fhir"' + instance + hint + b"/>")


@pytest.mark.parametrize(
    "text",
    [
        b'<a b="1"/>',
        b'<a xmlns:xsi="urn:other"/>',
        b'<a xsi:other="1"/>',
        b"<a value='1'/>",
        b'<a xmlns="urn:other"/>',
        b'<a xmlns:f="http://hl7.org/fhir"/>',
        b"<a>&invented;</a>",
        b'<a value="=="/>',
        b"<a>" + b" " * LARGEST + b"</a>",
    ],
)
def test_whatever_may_hold_another_name_is_strange(text: bytes) -> None:
    """Attributes, name spaces and references that are not the usual ones, and texts too large to look through."""
    assert not Names().are_familiar(text)


def test_invented_elements_are_strange_once_there_is_no_room() -> None:
    """Elements, end tags and instructions fill the same room; what is known stays familiar."""
    names = Names(most=4)
    assert names.are_familiar(b"<a><b/></a>")
    assert names.are_familiar(b"<?c?><a><d/></a>")
    assert not names.are_familiar(b"<a><e/></a>")
    assert not names.are_familiar(b"<a></e>")
    assert not names.are_familiar(b"<?e?><a/>")
    assert names.are_familiar(b"<a><d/><b/></a>")


@pytest.mark.slow
@pytest.mark.parametrize(
    ("make", "texts", "most"),
    [
        ('b"<r>" + b"".join(b"<x%x/>" % (number * 100000 + each) for each in range(100000)) + b"</r>"', 12, 30_000_000),
        (
            'b"<r>" + b"".join(b"<a x%x=\\"\\"/>" % (number * 70000 + each) for each in range(70000)) + b"</r>"',
            12,
            15_000_000,
        ),
        ('b"<r>" + b"".join(b"<x%x/>" % (number * 6000 + each) for each in range(6000)) + b"</r>"', 80, 10_000_000),
    ],
    ids=["elements", "attributes", "small texts"],
)
def test_a_process_does_not_grow_with_invented_names(make: str, texts: int, most: int) -> None:
    """Texts full of new names leave little of what they need for a moment; read in one thread, they leave more than `most`."""
    script = GROWTH.replace("MAKE", make).replace("TEXTS", str(texts))
    grown = int(subprocess.run([sys.executable, "-c", script], check=True, capture_output=True, text=True).stdout)
    assert grown < most


def test_what_is_read_apart_is_the_same_and_refused_the_same(monkeypatch: pytest.MonkeyPatch) -> None:
    """Which thread reads a text makes no difference to what comes of it."""
    text = (MESSAGES / "dispense-with-note.xml").read_bytes()
    here = parse(text)
    monkeypatch.setattr(familiar.Names, "are_familiar", lambda *_: False)
    there = parse(text)
    assert [element.tag for element in here.root.iter()] == [element.tag for element in there.root.iter()]
    assert [here.line(element) for element in here.root.iter()] == [
        there.line(element) for element in there.root.iter()
    ]
    with pytest.raises(Refused, match="not well-formed XML at line 2"):
        parse(b"<a>\n<b></a>")


def test_what_is_raised_apart_is_raised_here() -> None:
    """Whoever waits is told."""
    with pytest.raises(ZeroDivisionError):
        apart(lambda: 1 // 0)
