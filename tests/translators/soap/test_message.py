"""A SOAP message as a tree: the envelopes it may come in, what is refused of it, and what it is known again by."""

import base64
import re
from contextlib import suppress
from pathlib import Path
from typing import Any

import pytest

from tests.translators.soap_messages import bare, message
from tests.translators.test_growth import calls_of
from translators.contract import Reason, Refused, Settings
from translators.identity import business_id, content_digest
from translators.information import information_of
from translators.national_number import TEST_KINDS
from translators.soap.local_time import with_offset
from translators.soap.message import decode
from translators.translate import translate

SOAP_1_2 = b"http://www.w3.org/2003/05/soap-envelope"


def tree_of(data: bytes) -> Any:
    """Return tree of."""
    return decode(data)[0]


def content_of(data: bytes) -> Any:
    """Return content of."""
    return {name: value for name, value in tree_of(data).items() if name != "Envelope"}


def refusal_of(data: bytes) -> Refused:
    """Return refusal of."""
    with pytest.raises(Refused) as caught:
        decode(data)
    return caught.value


def in_other_words(data: bytes) -> bytes:
    """Return the same message as another tool writes it: other prefixes, blanks, and declarations where they are used."""
    return (
        b'<?xml version="1.0" encoding="UTF-8"?>\n\n<e:Envelope xmlns:e="'
        + SOAP_1_2
        + b'"><e:Header xmlns:w="urn:x"><w:Other/></e:Header>'
        b'<e:Body>\n\t<v:SendMelding xmlns:v="http://vkp.nhn.no/Journalforing">'
        + bare(data)
        + b"</v:SendMelding></e:Body></e:Envelope>"
    )


def test_an_envelope_of_either_version_with_any_prefix_and_none_say_the_same() -> None:
    """An envelope of either version with any prefix and none say the same."""
    data = message()
    assert content_of(in_other_words(data)) == content_of(data) == content_of(bare(data))
    assert tree_of(in_other_words(data))["Envelope"] == {"version": "1.2"}
    assert tree_of(data)["Envelope"] == {"version": "1.1"}


def test_the_id_of_ws_addressing_is_kept_for_the_answer() -> None:
    """The id of ws addressing is kept for the answer."""
    header = b'><soap:Header><a:MessageID xmlns:a="http://www.w3.org/2005/08/addressing">urn:uuid:1</a:MessageID></soap:Header>'
    data = message().replace(b">", header, 1)
    assert tree_of(data)["Envelope"]["MessageID"] == "urn:uuid:1"


def test_a_header_that_must_be_understood_and_is_not_is_refused() -> None:
    """A header that must be understood and is not is refused."""
    header = b'><soap:Header><x:Pay xmlns:x="urn:x" soap:mustUnderstand="1"/></soap:Header>'
    refusal = refusal_of(message().replace(b">", header, 1))
    assert (refusal.reason, refusal.text) == (Reason.UNSUPPORTED, "a header that must be understood, and is not")


@pytest.mark.parametrize(
    ("data", "told"),
    [
        (b"--uuid:1\r\nContent-Type: application/xop+xml\r\n\r\n<e/>", "MTOM"),
        (b'<!DOCTYPE a [<!ENTITY x "y">]><a>&x;</a>', "DOCTYPE"),
        (b'<!DOCTYPE a SYSTEM "http://evil.example/x.dtd"><a/>', "DOCTYPE"),
        (b"<a>" * 10_000 + b"</a>" * 10_000, "nested too deep"),
        (b"<a " + b" ".join(b'a%d="1"' % number for number in range(50_000)) + b"/>", "attributes"),
        (b"<Envelope/>", "neither SOAP"),
        (b"<a/>", "SendMelding"),
        (b"{}", "not well-formed"),
        (message().replace(b"<soap:Body>", b"<soap:Body><a/>"), "one element"),
        (message().replace(b"</soap:Body>", b"</soap:Body><soap:Body/>"), "one Header"),
        (message().replace(b"<DatoNotat>", b'<xi:include xmlns:xi="http://www.w3.org/2001/XInclude" href="file:///etc/passwd"/><DatoNotat>'), "schema"),
    ],
    ids=["mtom", "entity", "external", "deep", "attributes", "envelope", "other", "json", "two", "bodies", "xinclude"],
)  # fmt: skip
def test_what_is_no_plain_message_is_refused_and_nothing_is_fetched(data: bytes, told: str) -> None:
    """What is no plain message is refused and nothing is fetched."""
    assert told in str(refusal_of(data))


def test_an_include_of_xop_and_encrypted_content_are_refused_as_what_they_are() -> None:
    """An include of xop and encrypted content are refused as what they are."""
    include = b'<Content><Base64Container xmlns="http://www.kith.no/xmlstds/base64container"><x:Include xmlns:x="http://www.w3.org/2004/08/xop/include" href="cid:1"/></Base64Container>'
    data = message("soap-note-with-files")
    start = data.index(b"<Content><Base64Container")
    assert "XOP" in str(refusal_of(data[:start] + include + data[data.index(b"</Content>", start) :]))
    encrypted = b'<EncryptedData xmlns="http://www.w3.org/2001/04/xmlenc#"/></soap:Body>'
    assert "encrypted" in str(refusal_of(message().replace(b"</soap:Body>", encrypted)))


def test_a_message_that_is_refused_leaves_what_its_answer_needs() -> None:
    """A message that is refused leaves what its answer needs."""
    refusal = refusal_of(message().replace(b"<DatoNotat>2026-05-03", b"<DatoNotat>x"))
    found: Any = refusal.tree
    assert found["MsgInfo"]["MsgId"] == "7c1e0b52-93d4-4a8e-b6f0-5a2d3c4e0900"
    assert found["MsgInfo"]["Sender"]["Organisation"]["OrganisationName"] == "Responssenteret"


def test_an_attachment_of_megabytes_is_carried_whole() -> None:
    """An attachment of megabytes is carried whole."""
    file = base64.b64encode(b"x" * 3_000_000)
    data = message("soap-note-with-files").replace(b"JVBERi0xLjQ=", file)
    translation = translate(tree_of(data), "vkp-soap", "jft", Settings(TEST_KINDS))
    assert translation.refusal is None
    assert file in translation.calls[0].body


def test_the_information_type_is_that_of_what_is_carried() -> None:
    """The information type is that of what is carried."""
    assert information_of(tree_of(message())) == "notat"
    assert information_of(tree_of(message("soap-stu3-dispense-in-base64"))) == "medisinering"


def test_a_copy_is_known_by_its_msgid_and_content_whatever_its_envelope_and_time() -> None:
    """A copy is known by its msgid and content whatever its envelope and time."""
    first = tree_of(message())
    again = tree_of(in_other_words(message()).replace(b"T08:30:00+02:00</GenDate>", b"T09:45:00+02:00</GenDate>"))
    other = tree_of(message().replace(b"Hun svarte", b"Hun svarte ikke"))
    assert business_id(first) == business_id(again) == "7c1e0b52-93d4-4a8e-b6f0-5a2d3c4e0900"
    assert content_digest(first) == content_digest(again) != content_digest(other)


def test_a_msgid_that_is_a_national_number_is_never_shown() -> None:
    """A msgid that is a national number is never shown."""
    data = message().replace(b"<MsgId>7c1e0b52-93d4-4a8e-b6f0-5a2d3c4e0900", b"<MsgId>12834010060")
    assert business_id(tree_of(data)) is None


def test_a_message_without_msgid_is_refused() -> None:
    """A message without msgid is refused."""
    data = message().replace(b"<MsgId>7c1e0b52-93d4-4a8e-b6f0-5a2d3c4e0900", b"<MsgId>")
    refusal = translate(tree_of(data), "vkp-soap", "jft", Settings(TEST_KINDS)).refusal
    assert refusal is not None
    assert refusal.path == "MsgHead.MsgInfo.MsgId"


def test_a_signed_message_passes_where_the_sender_s_signatures_are_ignored() -> None:
    """A signed message passes where the sender its signatures are ignored."""
    tree = tree_of(message("soap-note-that-is-signed"))
    assert translate(tree, "vkp-soap", "jft", Settings(TEST_KINDS, signature="ignore")).refusal is None


@pytest.mark.parametrize(
    ("local", "whole"),
    [
        ("2026-03-29T01:59:59", "2026-03-29T01:59:59+01:00"),
        ("2026-03-29T03:00:00", "2026-03-29T03:00:00+02:00"),
        ("2026-10-25T01:59:59.5", "2026-10-25T01:59:59.5+02:00"),
        ("2026-10-25T03:00:00", "2026-10-25T03:00:00+01:00"),
        ("2026-07-01T12:00:00", "2026-07-01T12:00:00+02:00"),
        ("2026-12-31T12:00:00", "2026-12-31T12:00:00+01:00"),
        ("2026-07-01T12:00:00Z", "2026-07-01T12:00:00Z"),
        ("2026-07-01", "2026-07-01"),
    ],
)
def test_a_time_without_an_offset_gets_that_of_norway(local: str, whole: str) -> None:
    """A time without an offset gets that of norway."""
    assert with_offset(local, "") == whole


def test_nothing_of_the_folder_of_schemas_is_read_by_a_path_that_a_message_names(tmp_path: Path) -> None:
    """Nothing of the folder of schemas is read by a path that a message names."""
    bomb = tmp_path / "own.xsd"
    bomb.write_text("<xs:schema xmlns:xs='http://www.w3.org/2001/XMLSchema'/>", encoding="utf-8")
    hint = f' xmlns:xsi="http://www.w3.org/2001/XMLSchema-instance" xsi:schemaLocation="urn:x {bomb.as_uri()}"'
    data = message().replace(b"<MsgHead", b"<MsgHead" + hint.encode(), 1)
    assert content_of(data) == content_of(message())


@pytest.mark.parametrize("name", ["MsgId", "Tema", "TekstNotatInnhold", "Merknad", "DatoNotat"])
def test_a_text_with_a_hint_for_a_schema_is_the_text_that_it_is_without(name: str) -> None:
    """As .NET writes `xsi:type` on what may be of any type."""
    hint = ' xmlns:xsi="http://www.w3.org/2001/XMLSchema-instance" xmlns:xsd="http://www.w3.org/2001/XMLSchema"'
    kind = "date" if name == "DatoNotat" else "string"
    hinted = message().replace(f"<{name}>".encode(), f'<{name}{hint} xsi:type="xsd:{kind}">'.encode())
    assert hinted != message()
    assert decode(hinted) == decode(message())


NOTE_TEXT = "MsgHead.Document[0].RefDoc.Content.Dialogmelding.Notat[0].TekstNotatInnhold"
QUESTION = "MsgHead.Document[0].RefDoc.Content.Dialogmelding.Foresporsel[0].Sporsmal"


def with_free_text(name: str, attributes: str, text: str) -> bytes:
    """Return a message with one of the two elements that may hold anything, written so."""
    element = f"<{name}{attributes}>{text}</{name}>"
    data = message().decode()
    start, end = data.index("<Notat>"), data.index("</Notat>") + len("</Notat>")
    note = f'<Notat><TemaKodet V="6" S="1"/>{element}</Notat>'
    question = f'<Foresporsel><TypeForesp V="1" S="1"/>{element}</Foresporsel>'
    return (data[:start] + (note if name == "TekstNotatInnhold" else question) + data[end:]).encode()


FREE_TEXTS = pytest.mark.parametrize(("name", "path"), [("TekstNotatInnhold", NOTE_TEXT), ("Sporsmal", QUESTION)])
MARKUP = '<b xmlns="http://www.w3.org/1999/xhtml">{}</b>'


@FREE_TEXTS
@pytest.mark.parametrize(
    ("attributes", "text", "told"),
    [
        (' xml:lang="nb"', "Hun svarte ikke", "a text beside attributes or elements"),
        (' status="avlyst"', "Hun svarte", "a text beside attributes or elements"),
        (' status="avlyst"', "Hun " + MARKUP.format("svarte"), "an attribute of a text with markup"),
        ("", "Hun <ikke xmlns='urn:x'>svarte</ikke>", "an element of another namespace than XHTML"),
        ("", "<a xmlns='urn:x'>1</a><a xmlns='urn:x'>2</a>", "an element of another namespace than XHTML"),
        ("", MARKUP.format("Hun").replace("<b", "<b xmlns:x='urn:x' x:y='ikke'"), "an attribute of another namespace"),
    ],
)
def test_a_free_text_is_refused_by_its_path_where_the_tree_would_lose_of_it(
    name: str, path: str, attributes: str, text: str, told: str
) -> None:
    """The schema lets anything stand there: attributes, other namespaces, one name twice."""
    refusal = refusal_of(with_free_text(name, attributes, text))
    assert (refusal.reason, refusal.path) == (Reason.FORMAT, path)
    assert told in refusal.text


@FREE_TEXTS
def test_a_free_text_with_markup_keeps_every_text_and_blank(name: str, path: str) -> None:
    """A blank between two elements parts two words."""
    tree = tree_of(with_free_text(name, "", f"{MARKUP.format('Svarte')} {MARKUP.format('ikke')} i dag"))
    of = "Notat" if "Notat" in path else "Foresporsel"
    held = tree["Document"][0]["RefDoc"]["Content"]["Dialogmelding"][of][0][name]
    assert held == {"xhtml": '<div xmlns="http://www.w3.org/1999/xhtml"><b>Svarte</b> <b>ikke</b> i dag</div>'}


def test_a_sender_that_cannot_be_read_leaves_the_rest_for_the_answer() -> None:
    """A message that is not valid by its schema may hold texts anywhere."""
    found: Any = refusal_of(message().replace(b"<Sender>", b"<Sender>x")).tree
    assert found["MsgInfo"]["MsgId"] == "7c1e0b52-93d4-4a8e-b6f0-5a2d3c4e0900"
    assert found["MsgInfo"]["Receiver"]["Organisation"]["OrganisationName"] == "Havnes kommune"


@pytest.mark.parametrize(
    ("before", "piece"),
    [
        (b"<Patient>", b'<Ident><Id>1</Id><TypeId V="X"/></Ident>'),
        (b"</Notat>", b'<RollerRelatertNotat><RolleNotat V="1"/></RollerRelatertNotat>'),
        (b"    <Document>", b""),
        (b"<DatoNotat>", b"<X/>"),
    ],
    ids=["numbers", "roles", "files", "strange elements"],
)
def test_work_grows_in_proportion_to_a_message(before: bytes, piece: bytes) -> None:
    """Counted in calls of functions: four times as much of one thing takes no more than five times the work."""
    data = message("soap-note-with-files")
    if not piece:
        start = data.index(b"    <Document>", data.index(b"</Document>"))
        piece = data[start : data.index(b"</Document>", start) + len(b"</Document>")]
        before = b"  </MsgHead>"
    at = data.index(before) + (len(before) if before == b"<Patient>" else 0)
    one, four = (_calls(data[:at] + piece * count + data[at:]) for count in (60, 240))
    assert four < 5 * one


def _calls(data: bytes) -> int:
    def work() -> None:
        with suppress(Refused):
            translate(decode(data)[0], "vkp-soap", "jft", Settings(TEST_KINDS))

    return calls_of(work)


@pytest.mark.parametrize(
    ("version", "told"),
    [("3.0", None), ("4.0", None), ("4.3.0", None), ("5.0", "neither STU3 nor R4"), ("1.0", "neither STU3 nor R4")],
)
def test_a_release_that_vkp_never_had_is_not_read_as_another(version: str, told: str | None) -> None:
    """A release that vkp never had is not read as another."""
    name = "soap-stu3-dispense-in-base64" if version == "3.0" else "soap-r4-note-in-base64"
    data = re.sub(
        rb"<MimeType>[^<]*", b"<MimeType>application/fhir+json; fhirVersion=" + version.encode(), message(name)
    )
    if told is None:
        assert tree_of(data)["Document"][0]["RefDoc"]["Content"].keys() == {"stu3" if version == "3.0" else "r4"}
    else:
        refusal = refusal_of(data)
        assert (refusal.reason, told in refusal.text) == (Reason.UNSUPPORTED, True)


def test_base64_may_have_blanks_and_nothing_else_beside_it() -> None:
    """Base64 may have blanks and nothing else beside it."""
    data = message("soap-stu3-dispense-in-base64")
    start = data.index(b'base64container">') + len(b'base64container">')
    broken = b"\r\n".join(data[start : data.index(b"</Base64", start)][at : at + 76] for at in (0, 76))
    rest = data[start + 152 :]
    assert tree_of(data[:start] + b"\n " + broken + b"\t" + rest) == tree_of(data)
    end = rest.index(b"</Base64")
    assert "not base64" in str(refusal_of(data[:start] + broken + rest[:end] + b"!!" + rest[end:]))


def test_the_id_of_a_message_that_is_refused_is_kept_in_any_letters() -> None:
    """The id of a message that is refused is kept in any letters."""
    data = message().replace(b"7c1e0b52-93d4-4a8e-b6f0-5a2d3c4e0900", "melding-på-norsk".encode())
    found: Any = refusal_of(data.replace(b"<DatoNotat>2026-05-03", b"<DatoNotat>x")).tree
    assert found["MsgInfo"]["MsgId"] == "melding-på-norsk"


@pytest.mark.parametrize(
    ("day", "told"), [("2026-05-04Z", "2026-05-04"), ("2026-05-04+02:00", "2026-05-04"), ("2026", "2026")]
)
def test_the_day_of_a_file_is_told_without_an_offset_that_fhir_has_for_times_alone(day: str, told: str) -> None:
    """The day of a file is told without an offset that fhir has for times alone."""
    data = message("soap-note-with-files").replace(
        b'<IssueDate V="2026-05-04T08:00:00"', f'<IssueDate V="{day}"'.encode()
    )
    translation = translate(tree_of(data), "vkp-soap", "jft", Settings(TEST_KINDS))
    assert translation.refusal is None
    assert f'"creation":"{told}"'.encode() in translation.calls[0].body


def test_a_file_that_is_not_base64_is_told_by_its_place() -> None:
    """A file that is not base64 is told by its place."""
    data = message("soap-note-with-files").replace(b"JVBERi0xLjQ=", b"JVBERi0xLjQ=!!")
    refusal = translate(tree_of(data), "vkp-soap", "jft", Settings(TEST_KINDS)).refusal
    assert refusal is not None
    assert refusal.path == "MsgHead.Document[1].RefDoc.Content.Base64Container"


def _with_idents(*idents: tuple[str, str]) -> bytes:
    written = "".join(
        f'<Ident><Id>{number}</Id><TypeId V="{kind}" S="2.16.578.1.12.4.1.1.8116"/></Ident>' for number, kind in idents
    )
    data = re.sub(rb"(<Patient>\s*)<Ident>.*?</Ident>", rb"\1" + written.encode(), message(), count=1, flags=re.DOTALL)
    assert data != message()
    return data


@pytest.mark.parametrize(
    "idents",
    [
        [("12834010060", "FNR"), ("", "DNR")],
        [("", "DNR"), ("12834010060", "FNR")],
        [("12834010060", "FNR"), (" 12834010060 ", "FNR")],
        [("12834010060", "FNR"), ("12834010060", "DNR")],
    ],
)
def test_a_number_that_is_said_twice_and_one_left_empty_are_no_second_number(idents: list[tuple[str, str]]) -> None:
    """The note is the same as with the number alone, and nothing is lost."""
    wanted = Settings(TEST_KINDS)
    tree, repairs = decode(_with_idents(*idents))
    found = translate(tree, "vkp-soap", "jft", wanted, repairs)
    assert found.refusal is None
    assert found.losses == ()
    assert found.calls == translate(tree_of(_with_idents(("12834010060", "FNR"))), "vkp-soap", "jft", wanted).calls


def test_two_national_numbers_of_one_patient_are_refused_by_the_second() -> None:
    """Whichever of them is meant, one left empty before them counts for nothing."""
    tree, _ = decode(_with_idents(("", "DNR"), ("12834010060", "FNR"), ("30714510343", "FNR")))
    refusal = translate(tree, "vkp-soap", "jft", Settings(TEST_KINDS)).refusal
    assert refusal is not None
    assert refusal.path == "MsgHead.MsgInfo.Patient.Ident[2].Id"


@pytest.mark.parametrize(
    ("code", "shown", "is_taken"), [("V", "Vedlegg", True), ("H", "Hoveddokument", False), ("V", "", False)]
)
def test_a_file_that_is_said_to_be_an_attachment_is_one(code: str, shown: str, is_taken: bool) -> None:
    """What else a file would be to the note nobody knows: it may stand in its place."""
    file = (
        f'<Document><DocumentConnection V="{code}" DN="{shown}"/><RefDoc><MsgType V="A" DN="Vedlegg"/>'
        "<MimeType>application/pdf</MimeType><Content>"
        '<Base64Container xmlns="http://www.kith.no/xmlstds/base64container">QUJD</Base64Container>'
        "</Content></RefDoc></Document>"
    )
    tree, repairs = decode(message().replace(b"</Document>", b"</Document>" + file.encode(), 1))
    found = translate(tree, "vkp-soap", "jft", Settings(TEST_KINDS), repairs)
    assert bool(found.calls) is is_taken
    assert (found.refusal is None) is is_taken
