"""Short texts of FHIR XML, and what reading them gives."""

from typing import Any

import pytest

from translators.contract import Reason, Refused
from translators.fhir.elements import stu3
from translators.fhir.xml_codec import decode

NAMESPACE = 'xmlns="http://hl7.org/fhir"'
XSI = 'xmlns:xsi="http://www.w3.org/2001/XMLSchema-instance"'
XHTML = 'xmlns="http://www.w3.org/1999/xhtml"'
SECRET = "Kari-30714510343"


def patient(inside: str, attributes: str = "") -> bytes:
    """Write a Patient of STU3 with this inside."""
    return f"<Patient {NAMESPACE}{attributes}>{inside}</Patient>".encode()


def read(data: bytes) -> dict[str, Any]:
    """Read a resource that needs no repair."""
    tree, repairs = decode(data, stu3())
    assert repairs == ()
    assert isinstance(tree, dict)
    return tree


def refusal(data: bytes) -> Refused:
    """Return why a text is refused; nothing of a person is in it."""
    with pytest.raises(Refused) as caught:
        decode(data, stu3())
    assert caught.value.reason is Reason.FORMAT
    assert caught.value.__cause__ is None
    assert "Kari" not in str(caught.value)
    assert "30714510343" not in str(caught.value)
    return caught.value


def says(data: bytes, text: str) -> None:
    """Hold a refusal to what it says."""
    assert str(refusal(data)) == text
