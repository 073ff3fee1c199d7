"""What is no well-formed FHIR XML is refused with its place, and nothing is expanded or fetched."""

import pytest

from tests.translators.fhir.xml_texts import NAMESPACE, SECRET, XHTML, XSI, patient, read, refusal, says


def test_hints_without_end_are_refused() -> None:
    """No message makes the account as long as itself."""
    data = patient('<name xsi:nil="true"/>' * 1001, f" {XSI}")
    says(data, "Patient.name[1000]: more than 1000 corrections would be needed")


@pytest.mark.parametrize(
    ("data", "text"),
    [
        (
            patient(f'\n<x:a xmlns:x="urn:x">{SECRET}</x:a>'),
            "Patient.a: an element of another namespace than FHIR at line 2",
        ),
        (
            patient('<name><a xmlns=""/></name>'),
            "Patient.name[0].a: an element of another namespace than FHIR at line 1",
        ),
        (b"<Patient/>", "Patient: an element of another namespace than FHIR at line 1"),
        (b'<Patient xmlns="http://hl7.org/fhir/"/>', "Patient: an element of another namespace than FHIR at line 1"),
        (patient(f"<name/>\n<name>{SECRET}</name>"), "Patient.name[1]: text where FHIR has none at line 2"),
        (patient(f'<gender value="x"/>{SECRET}'), "Patient.gender: text where FHIR has none at line 1"),
        (patient("<gender>male</gender>"), "Patient.gender: text where FHIR has none at line 1"),
        (patient("&#160;"), "Patient: text where FHIR has none at line 1"),
        (patient(f"<text><div {XHTML}/>{SECRET}</text>"), "Patient.text.div: text where FHIR has none at line 1"),
        (
            patient("<contained><Basic/>\n<Basic/></contained>"),
            "Patient.contained[0]: a second resource in the place of one at line 2",
        ),
        (
            patient("<Navn30714510343/>\n<Navn30714510343>x</Navn30714510343>"),
            "Patient.(name withheld)[1]: text where FHIR has none at line 2",
        ),
        (f"<x30714510343 {NAMESPACE}>x</x30714510343>".encode(), "(name withheld): text where FHIR has none at line 1"),
        (patient("<a>" * 130 + "</a>" * 130), f"Patient{'.a' * 128}: nested too deep at line 1"),
    ],
)
def test_what_is_no_fhir_xml_is_refused_with_path_and_line(data: bytes, text: str) -> None:
    """The place helps the vendor's developer; nothing of the content is told."""
    says(data, text)


@pytest.mark.parametrize(
    ("data", "text"),
    [
        (b"", "not well-formed XML at line 1"),
        (b" \n\n", "not well-formed XML at line 3"),
        (b'{"resourceType":"Patient"}', "not well-formed XML at line 1"),
        (patient("\n<name>"), "not well-formed XML at line 2"),
        (patient("\n<name>")[:-12], "not well-formed XML at line 2"),
        (patient("") + b"\n" + patient(""), "not well-formed XML at line 2"),
        (patient("") + b"x", "not well-formed XML at line 1"),
        (patient(f"\n<gender value='{SECRET}' value='y'/>"), "not well-formed XML at line 2"),
        (patient("\n<f:name/>"), "not well-formed XML at line 2"),
        (patient(f"<text><div {XHTML}>\n&nbsp;</div></text>"), "not well-formed XML at line 2"),
        (patient("<gender value='&#1;'/>"), "not well-formed XML at line 1"),
        (patient("<gender value='\x00'/>"), "not well-formed XML at line 1"),
        (b"\n\n<?xml version='1.0'?>\n<a><b></a>", "not well-formed XML at line 4"),
        (b"<a>" * 100_000, "nested too deep or too long at line 1"),
        (patient(f"<gender value='{'x' * 11_000_000}'/>"), "nested too deep or too long at line 1"),
    ],
)
def test_what_is_not_well_formed_is_refused_with_its_line(data: bytes, text: str) -> None:
    """Nothing is mended by guess, and no error of the parser gets out."""
    says(data, text)


@pytest.mark.parametrize(
    "prolog",
    [
        "<!DOCTYPE Patient>",
        '<!DOCTYPE Patient SYSTEM "http://vft.example/fhir.dtd">',
        '<!DOCTYPE Patient SYSTEM "file:///etc/passwd">',
        f'<!DOCTYPE Patient [<!ENTITY e "{SECRET}">]>',
        '<!DOCTYPE Patient [<!ENTITY e SYSTEM "file:///etc/passwd">]>',
        '<!DOCTYPE Patient [<!ENTITY % e SYSTEM "http://vft.example/e"> %e;]>',
        '<!DOCTYPE Patient [<!ATTLIST Patient gender CDATA "x">]>',
        f"<!DOCTYPE Patient [<!ENTITY a '{'x' * 99}'>"
        + "".join(f"<!ENTITY e{n} '{'&a;' * 9}'>" for n in range(9))
        + "]>",
        '<?xml version="1.0"?> <!-- <x> --><?style x?>\n<!DOCTYPE Patient>',
    ],
)
def test_a_doctype_is_refused_before_anything_is_read(prolog: str) -> None:
    """No entity, no external file, no default of a DTD ever gets into a message."""
    says(prolog.encode() + patient('<gender value="&e;"/>'), "a DOCTYPE is not allowed")


def test_a_doctype_within_a_comment_is_a_comment() -> None:
    """Only what XML reads as one is one."""
    assert read(b"<!-- <!DOCTYPE x> -->" + patient("<!-- <!DOCTYPE x> -->")) == {"resourceType": "Patient"}


@pytest.mark.parametrize("count", [10, 100_000])
def test_comments_without_end_before_the_root_are_passed_over(count: int) -> None:
    """Looking for a DOCTYPE takes time by the length of the text and no stack."""
    assert read(b"<!-- - x --> <?p ? ?>" * count + patient("")) == {"resourceType": "Patient"}


def test_comments_and_instructions_leave_no_trace() -> None:
    """Between elements and within a text they are passed over; the text is one."""
    inside = f"<!-- a --><name><?p x?><given value='Ola'/><!-- b --></name><text><div {XHTML}>Ola<!-- x --><?y?> N</div></text>"
    tree = read(b"<?style x?><!-- a -->" + patient(inside) + b"<!-- b --><?end?>\n")
    assert tree["name"] == [{"given": ["Ola"]}]
    assert tree["text"] == {"div": f"<div {XHTML}>Ola N</div>"}


@pytest.mark.parametrize("start", [b"\xef\xbb\xbf", b"\r\n\t ", b"\xef\xbb\xbf\n", b"\n<?xml version='1.0'?>"])
@pytest.mark.parametrize("declared", [b"", b"<?xml version='1.0' encoding='utf-8'?>"])
def test_a_byte_order_mark_and_blanks_before_the_root_are_passed_over(start: bytes, declared: bytes) -> None:
    """Windows programs put the one in front, templates the other."""
    if declared and b"<?xml" in start:
        says(start + declared + patient(""), "not well-formed XML at line 2")
    else:
        assert read(start + declared + patient("")) == {"resourceType": "Patient"}


@pytest.mark.parametrize("encoding", ["iso-8859-1", "UTF-16", "utf-7", "klingon", "us-ascii"])
def test_a_declared_encoding_that_is_not_utf_8_is_refused(encoding: str) -> None:
    """FHIR is UTF-8 (FHIR R4, formats.html); whether the declaration lies or not, no encoding is guessed."""
    data = f'<?xml version="1.0" encoding="{encoding}"?>'.encode() + patient('<gender value="å"/>')
    says(data, "the XML declaration names another encoding than UTF-8")


def test_ascii_that_says_so_is_utf_8() -> None:
    """Every text in ASCII is one in UTF-8."""
    assert read(b'<?xml version="1.0" encoding="US-ASCII"?>' + patient("")) == {"resourceType": "Patient"}


@pytest.mark.parametrize("encoding", ["latin-1", "utf-16", "utf-16-le", "utf-16-be", "utf-32"])
def test_bytes_that_are_not_utf_8_are_refused(encoding: str) -> None:
    """Whatever the text itself says."""
    data = patient('<gender value="å"/>').decode().encode(encoding)
    assert str(refusal(data)).startswith(("not UTF-8 at byte ", "not well-formed XML at line 1"))


def test_an_inclusion_is_not_followed() -> None:
    """XInclude is another namespace and nothing more."""
    data = patient('<x:include xmlns:x="http://www.w3.org/2001/XInclude" href="/etc/passwd"/>')
    says(data, "Patient.include: an element of another namespace than FHIR at line 1")
