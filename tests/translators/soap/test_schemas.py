"""The schemas of the SOAP interface: what they take, and how they tell what they refuse."""

import re

import pytest
from lxml import etree

from tests.translators.soap_messages import bare, message
from translators.payload import NAMES
from translators.soap import schema

SECRET = "KariNordmann"


def fault(data: bytes) -> str | None:
    """Return fault."""
    return schema.messages().fault(etree.fromstring(data))


def test_a_message_is_taken() -> None:
    """A message is taken."""
    assert fault(bare(message())) is None
    assert fault(bare(message("soap-note-with-files"))) is None


@pytest.mark.parametrize(
    ("old", "new", "told"),
    [
        (b"<MIGversion>v1.2 2006-05-24", b"<MIGversion>v1.1 2006-02-15", "MIGversion"),
        (b"<GenDate>2026-05-04T08:30:00+02:00", b"<GenDate>" + SECRET.encode(), "GenDate"),
        (b"<MsgId>7c1e0b52-93d4-4a8e-b6f0-5a2d3c4e0900</MsgId>", b"", "MsgId|Ack"),
        (b'V="HER"', b'V="HER" KariNordmann="1"', "TypeId"),
        (b"<DatoNotat>2026-05-03", b"<DatoNotat>" + SECRET.encode(), "DatoNotat"),
        (b"<DatoNotat>2026-05-03</DatoNotat>", b"<KariNordmann/>", "at line"),
        (b'<Ack V="J" DN="Ja"/>', b"<Ack><KariNordmann/></Ack>", "Ack"),
    ],
)
def test_what_the_schema_does_not_allow_is_told_by_element_and_line_and_no_value(
    old: bytes, new: bytes, told: str
) -> None:
    """What the schema does not allow is told by element and line and no value."""
    data = bare(message())
    found = fault(data.replace(old, new, 1))
    assert old in data
    assert found is not None
    assert re.search(told, found)
    assert re.search(r"at line \d+$", found)
    assert SECRET not in found


def test_an_oid_may_have_any_decimal_digits_as_in_the_national_schemas() -> None:
    """A pattern means by a digit more than 0 to 9."""
    data = bare(message())
    for oid, is_taken in (("२.१६", True), ("2..16", False), ("2.x", False)):
        assert (fault(data.replace(b"2.16.578.1.12.4.1.1.8116", oid.encode())) is None) is is_taken


def test_the_names_that_are_told_are_those_of_the_schemas() -> None:
    """The names that are told are those of the schemas."""
    files = [
        path
        for path in schema.FOLDER.glob("*.xsd")
        if path.name.startswith(("msghead", "dialog", "fell", "kith", "base"))
    ]
    of_schemas = {
        name for path in files for name in re.findall(r'name="([A-Za-z0-9å]+)"', path.read_text(encoding="utf-8"))
    }
    assert of_schemas - NAMES <= {"Content"}
    assert NAMES - of_schemas == {"Envelope", "Signature", "SendMelding", "SendMeldingResponse"}
