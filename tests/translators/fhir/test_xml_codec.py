"""FHIR XML in and out: the same tree as FHIR JSON, to the letter; what is not well-formed FHIR XML is refused with its place."""

import re
from typing import Any

import pytest

from translators.contract import Number, Reason, Refused, Repair, Tree
from translators.fhir.elements import r4, stu3
from translators.fhir.xml_codec import decode, encode

NAMESPACE = 'xmlns="http://hl7.org/fhir"'
XSI = 'xmlns:xsi="http://www.w3.org/2001/XMLSchema-instance"'
XHTML = 'xmlns="http://www.w3.org/1999/xhtml"'
SECRET = "Kari-31714510382"


def _patient(inside: str, attributes: str = "") -> bytes:
    return f"<Patient {NAMESPACE}{attributes}>{inside}</Patient>".encode()


def _read(data: bytes) -> dict[str, Any]:
    tree, repairs = decode(data, stu3())
    assert repairs == ()
    assert isinstance(tree, dict)
    return tree


def _refusal(data: bytes) -> Refused:
    with pytest.raises(Refused) as caught:
        decode(data, stu3())
    assert caught.value.reason is Reason.FORMAT
    assert caught.value.__cause__ is None
    assert "Kari" not in str(caught.value)
    assert "31714510382" not in str(caught.value)
    return caught.value


def _says(data: bytes, text: str) -> None:
    assert str(_refusal(data)) == text


BUNDLE = f"""<?xml version="1.0" encoding="UTF-8"?>
<Bundle {NAMESPACE}>
  <type value="message"/>
  <entry>
    <fullUrl value="urn:uuid:00000000-0000-4000-8000-000000000001"/>
    <resource>
      <Flag>
        <id value="f1"/>
        <contained>
          <Device><id value="d1"/><udi><name value="Dispenser"/></udi></Device>
        </contained>
        <extension url="http://level.example"><extension url="level"><valueInteger value="3"/></extension></extension>
        <category id="c1"><coding><code value="a"/></coding><coding><code value="b"/></coding></category>
      </Flag>
    </resource>
  </entry>
  <entry>
    <resource>
      <Parameters>
        <parameter><name value="x"/><resource><Basic/></resource></parameter>
      </Parameters>
    </resource>
  </entry>
</Bundle>
"""
BUNDLE_TREE: Tree = {
    "resourceType": "Bundle",
    "type": "message",
    "entry": [
        {
            "fullUrl": "urn:uuid:00000000-0000-4000-8000-000000000001",
            "resource": {
                "resourceType": "Flag",
                "id": "f1",
                "contained": [{"resourceType": "Device", "id": "d1", "udi": {"name": "Dispenser"}}],
                "extension": [
                    {"url": "http://level.example", "extension": [{"url": "level", "valueInteger": Number("3")}]}
                ],
                "category": {"id": "c1", "coding": [{"code": "a"}, {"code": "b"}]},
            },
        },
        {
            "resource": {
                "resourceType": "Parameters",
                "parameter": [{"name": "x", "resource": {"resourceType": "Basic"}}],
            }
        },
    ],
}


def test_a_message_reads_as_its_json() -> None:
    """Arrays by the table, resources named by their type, ids and the url of an extension from attributes."""
    assert _read(BUNDLE.encode()) == BUNDLE_TREE


def test_a_resource_says_its_type_first() -> None:
    """So do the trees of FHIR JSON as people write it, and routing need not look far."""
    flag = _read(BUNDLE.encode())["entry"][0]["resource"]
    assert list(flag)[:2] == ["resourceType", "id"]


def test_the_same_message_with_prefixes_is_the_same() -> None:
    """A prefix is the sender's choice and says nothing."""
    prefixed = BUNDLE.replace("<", "<f:").replace("<f:/", "</f:").replace("<f:?", "<?").replace("xmlns=", "xmlns:f=")
    assert _read(prefixed.encode()) == BUNDLE_TREE


def test_the_release_decides_what_repeats() -> None:
    """Flag.category is one in STU3 and many in R4."""
    data = f'<Flag {NAMESPACE}><category><text value="x"/></category></Flag>'.encode()
    assert decode(data, stu3())[0] == {"resourceType": "Flag", "category": {"text": "x"}}
    assert decode(data, r4())[0] == {"resourceType": "Flag", "category": [{"text": "x"}]}


@pytest.mark.parametrize(
    ("inside", "fields"),
    [
        ('<active value="true"/>', {"active": True}),
        ('<active value="false"/>', {"active": False}),
        ('<active value="TRUE"/>', {"active": "TRUE"}),
        ('<active value="1"/>', {"active": "1"}),
        ('<multipleBirthInteger value="2"/>', {"multipleBirthInteger": Number("2")}),
        ('<multipleBirthInteger value="02"/>', {"multipleBirthInteger": "02"}),
        ('<multipleBirthInteger value=" 2"/>', {"multipleBirthInteger": " 2"}),
        ('<multipleBirthInteger value="two"/>', {"multipleBirthInteger": "two"}),
        ('<multipleBirthInteger value="&#x662;"/>', {"multipleBirthInteger": "\u0662"}),
        ('<birthDate value="1950-05"/>', {"birthDate": "1950-05"}),
        (
            '<deceasedDateTime value="2017-05-09T08:00:00.9300+02:00"/>',
            {"deceasedDateTime": "2017-05-09T08:00:00.9300+02:00"},
        ),
        ('<gender value=" Male "/>', {"gender": " Male "}),
        ('<gender value=""/>', {"gender": ""}),
        ("<gender/>", {"gender": ""}),
        ("<animal/>", {"animal": {}}),
        ("<name/>", {"name": [{}]}),
        ('<name><text value="A&amp;B &#229; &lt;&quot;"/></name>', {"name": [{"text": 'A&B å <"'}]}),
    ],
)
def test_a_value_keeps_its_letters(inside: str, fields: Tree) -> None:
    """Only what JSON writes otherwise becomes a number or a truth value; everything else stays the text it is."""
    assert isinstance(fields, dict)
    assert _read(_patient(inside)) == {"resourceType": "Patient", **fields}


@pytest.mark.parametrize(
    "digits", ["81.30", "-0.0", "1e2", "0.10000000000000000000000001", "123456789012345678901234567890"]
)
def test_a_number_keeps_its_digits(digits: str) -> None:
    """No number is turned into a binary float."""
    data = f'<Observation {NAMESPACE}><valueQuantity><value value="{digits}"/></valueQuantity></Observation>'
    assert _read(data.encode())["valueQuantity"] == {"value": Number(digits)}


def test_a_line_end_written_as_such_stays_and_a_bare_one_is_a_blank() -> None:
    """So XML has it (XML 1.0, section 3.3.3): what the sender's writer did not escape, no reader can see."""
    tree = _read(_patient('<name><text value="one&#10;two&#9;three\nfour\tfive"/></name>'))
    assert tree["name"] == [{"text": "one\ntwo\tthree four five"}]


@pytest.mark.parametrize(
    ("inside", "fields"),
    [
        ('<gender id="g"/>', {"_gender": {"id": "g"}}),
        ('<gender value="male" id="g"/>', {"gender": "male", "_gender": {"id": "g"}}),
        (
            '<gender><extension url="u"><valueCode value="x"/></extension></gender>',
            {"_gender": {"extension": [{"url": "u", "valueCode": "x"}]}},
        ),
        ('<id value="p"><extension url="u"/></id>', {"id": "p", "_id": {"extension": [{"url": "u"}]}}),
        ('<active value="true" id="a"/>', {"active": True, "_active": {"id": "a"}}),
    ],
)
def test_id_and_extensions_of_a_primitive_stand_beside_it(inside: str, fields: Tree) -> None:
    """`_name` has them, and stands alone when there is no value."""
    assert isinstance(fields, dict)
    assert _read(_patient(inside)) == {"resourceType": "Patient", **fields}


@pytest.mark.parametrize(
    ("inside", "fields"),
    [
        ('<given value="A"/><given value="B"/>', {"given": ["A", "B"]}),
        ('<given value="A"/><given id="b"/>', {"given": ["A", None], "_given": [None, {"id": "b"}]}),
        ('<given id="a"/><given value="B"/>', {"given": [None, "B"], "_given": [{"id": "a"}, None]}),
        ('<given id="a"/><given id="b"/>', {"_given": [{"id": "a"}, {"id": "b"}]}),
        (
            '<given value="A"/><given value="B" id="b"/><given value="C"/>',
            {"given": ["A", "B", "C"], "_given": [None, {"id": "b"}, None]},
        ),
    ],
)
def test_values_and_their_siblings_stand_in_two_lists_of_one_length(inside: str, fields: Tree) -> None:
    """A null fills the place of what the other has alone (FHIR R4, json.html#primitive)."""
    assert _read(_patient(f"<name>{inside}</name>"))["name"] == [fields]


@pytest.mark.parametrize(
    ("inside", "fields"),
    [
        ('<gender value="male"/><gender value="female"/>', {"gender": ["male", "female"]}),
        ('<gender id="a"/><gender value="male"/>', {"gender": [None, "male"], "_gender": [{"id": "a"}, None]}),
        ('<gender value="male"/><gender id="b"/>', {"gender": ["male", None], "_gender": [None, {"id": "b"}]}),
        ("<animal/><animal/><animal/>", {"animal": [{}, {}, {}]}),
        ('<animal id="1"/><gender value="x"/><animal/>', {"animal": [{"id": "1"}, {}], "gender": "x"}),
    ],
)
def test_what_stands_twice_where_one_is_allowed_is_not_overwritten(inside: str, fields: Tree) -> None:
    """Both stay, as an array, which the next step refuses."""
    assert isinstance(fields, dict)
    assert _read(_patient(inside)) == {"resourceType": "Patient", **fields}


@pytest.mark.parametrize(
    ("inside", "fields"),
    [
        ('<vendor value="x"/>', {"vendor": "x"}),
        ('<vendor value="x"/><vendor value="y"/>', {"vendor": ["x", "y"]}),
        ('<vendor value="x" id="i"/>', {"vendor": {"@value": "x", "@id": "i"}}),
        ('<vendor><a><b value="1"/></a></vendor>', {"vendor": {"a": {"b": "1"}}}),
        ("<vendor/>", {"vendor": {}}),
        ('<gender value="male" unit="x"/>', {"gender": "male", "_gender": {"@unit": "x"}}),
        ('<animal class="x"/>', {"animal": {"@class": "x"}}),
        ('<animal url="x"/>', {"animal": {"@url": "x"}}),
        ('<animal xml:lang="no"/>', {"animal": {"@{http://www.w3.org/XML/1998/namespace}lang": "no"}}),
        ('<Gender value="male"/>', {"Gender": "male"}),
        ('<gender VALUE="male"/>', {"_gender": {"@VALUE": "male"}}),
        ('<gender value="male"><vendor value="x"/></gender>', {"gender": "male", "_gender": {"vendor": "x"}}),
    ],
)
def test_what_the_release_does_not_have_stays_in_the_tree(inside: str, fields: Tree) -> None:
    """Under its own name, so that a later step reports it as lost."""
    assert isinstance(fields, dict)
    assert _read(_patient(inside)) == {"resourceType": "Patient", **fields}


def test_attributes_of_a_resource_and_of_its_place_stay_too() -> None:
    """A resource's id is an element; an attribute of that name is none of it."""
    data = f'<Bundle {NAMESPACE} id="b"><entry><resource id="p"><Basic id="r"/></resource></entry></Bundle>'
    with_place = _read(data.encode())
    assert with_place["@id"] == "b"
    assert with_place["entry"] == [{"resource": {"resourceType": "Basic", "@id": "r"}}]


@pytest.mark.parametrize("name", ["resourceType", "_gender", "id"])
def test_an_element_that_would_pass_for_something_of_json_is_refused(name: str) -> None:
    """Nobody may write `resourceType` or a sibling as an element, nor the id of a data type."""
    data = _patient(f'<name>\n<{name} value="{SECRET}"/></name>')
    _says(data, f"Patient.name[0].{name}: an element that FHIR XML does not have at line 2")


def test_a_div_without_its_namespace_is_not_taken_for_a_narrative() -> None:
    """In FHIR's own namespace there is no div."""
    _says(
        _patient('<text><div value="x"/></text>'),
        "Patient.text.div: an element that FHIR XML does not have at line 1",
    )


@pytest.mark.parametrize(
    ("inside", "text"),
    [
        (f"<div {XHTML}>Hei</div>", f"<div {XHTML}>Hei</div>"),
        (f"<div {XHTML}/>", f"<div {XHTML}/>"),
        (f"<div {XHTML}> a<!-- x -->b <br></br>c<b> d</b> e </div>", f"<div {XHTML}> ab <br/>c<b> d</b> e </div>"),
        (f"<div {XHTML}>&lt;&amp;&gt;&#160;&#229;\n&quot;</div>", f'<div {XHTML}>&lt;&amp;&gt;\u00a0å\n"</div>'),
        (f'<div {XHTML} class="a&quot;&#10;b" xml:lang="no"/>', f'<div {XHTML} class="a&quot;&#10;b" xml:lang="no"/>'),
        (f"<div {XHTML}><![CDATA[<b>]]></div>", f"<div {XHTML}>&lt;b&gt;</div>"),
        ('<h:div xmlns:h="http://www.w3.org/1999/xhtml"><h:p>x</h:p></h:div>', f"<div {XHTML}><p>x</p></div>"),
        (f'<div {XHTML}><p xmlns:x="urn:x"><i/></p></div>', f"<div {XHTML}><p><i/></p></div>"),
    ],
)
def test_a_narrative_is_the_text_of_its_div(inside: str, text: str) -> None:
    """With its namespace and without prefixes; comments are gone, characters are as XML means them."""
    data = _patient(f'<text><status value="generated"/>{inside}</text><active value="true"/>')
    assert _read(data) == {"resourceType": "Patient", "text": {"status": "generated", "div": text}, "active": True}


def test_two_narratives_in_one_place_become_an_array() -> None:
    """The second is neither lost nor put over the first."""
    tree = _read(_patient(f"<text><div {XHTML}>1</div><div {XHTML}>2</div></text>"))
    assert tree["text"] == {"div": [f"<div {XHTML}>1</div>", f"<div {XHTML}>2</div>"]}


@pytest.mark.parametrize(
    ("inside", "what"),
    [
        (f'<div {XHTML}>\n<svg xmlns="urn:svg">{SECRET}</svg></div>', "an element of another namespace than XHTML"),
        (f'<div {XHTML}>\n<p x:a="{SECRET}" xmlns:x="urn:x"/></div>', "an attribute of another namespace than XHTML"),
        (f"<div {XHTML}>\n" + "<p>" * 70 + SECRET + "</p>" * 70 + "</div>", "nested too deep"),
    ],
)
def test_a_narrative_that_is_not_xhtml_is_refused(inside: str, what: str) -> None:
    """FHIR allows formatting only (narrative.html), and text without prefixes could not say more."""
    _says(_patient(f"<text>{inside}</text>"), f"Patient.text.div: {what} at line 2")


def test_hints_for_a_schema_are_dropped_by_name() -> None:
    """On the root and inside, also in a narrative: JSON has no place for them, and they say nothing of the message."""
    hint = f'{XSI} xsi:schemaLocation="http://hl7.org/fhir fhir-single.xsd"'
    entries = f"<entry/><entry><resource><Patient {hint}><active {hint} value='true'/>"
    data = (
        f"<Bundle {NAMESPACE} {hint}>{entries}<name {hint} xsi:type='x'/><vendor {hint} value='v'/>"
        f"<text><div {XHTML} {hint}><p {hint}>x</p></div></text></Patient></resource></entry></Bundle>"
    )
    tree, repairs = decode(data.encode(), stu3())
    patient: Tree = {
        "resourceType": "Patient",
        "active": True,
        "name": [{}],
        "vendor": "v",
        "text": {"div": f"<div {XHTML}><p>x</p></div>"},
    }
    assert tree == {"resourceType": "Bundle", "entry": [{}, {"resource": patient}]}
    place = "Bundle.entry[1].resource"
    paths = [
        "Bundle",
        place,
        f"{place}.active",
        *[f"{place}.name[0]"] * 2,
        f"{place}.vendor",
        *[f"{place}.text.div"] * 2,
    ]
    assert repairs == tuple(Repair(path, "schema-location-dropped") for path in paths)


def test_hints_without_end_are_refused() -> None:
    """No message makes the account as long as itself."""
    data = _patient('<name xsi:nil="true"/>' * 1001, f" {XSI}")
    _says(data, "Patient.name[1000]: more than 1000 corrections would be needed")


@pytest.mark.parametrize(
    ("data", "text"),
    [
        (
            _patient(f'\n<x:a xmlns:x="urn:x">{SECRET}</x:a>'),
            "Patient.a: an element of another namespace than FHIR at line 2",
        ),
        (
            _patient('<name><a xmlns=""/></name>'),
            "Patient.name[0].a: an element of another namespace than FHIR at line 1",
        ),
        (b"<Patient/>", "Patient: an element of another namespace than FHIR at line 1"),
        (b'<Patient xmlns="http://hl7.org/fhir/"/>', "Patient: an element of another namespace than FHIR at line 1"),
        (_patient(f"<name/>\n<name>{SECRET}</name>"), "Patient.name[1]: text where FHIR has none at line 2"),
        (_patient(f'<gender value="x"/>{SECRET}'), "Patient.gender: text where FHIR has none at line 1"),
        (_patient("<gender>male</gender>"), "Patient.gender: text where FHIR has none at line 1"),
        (_patient("&#160;"), "Patient: text where FHIR has none at line 1"),
        (_patient(f"<text><div {XHTML}/>{SECRET}</text>"), "Patient.text.div: text where FHIR has none at line 1"),
        (
            _patient("<contained><Basic/>\n<Basic/></contained>"),
            "Patient.contained[0]: a second resource in the place of one at line 2",
        ),
        (
            _patient("<Navn31714510382/>\n<Navn31714510382>x</Navn31714510382>"),
            "Patient.(name withheld)[1]: text where FHIR has none at line 2",
        ),
        (f"<x31714510382 {NAMESPACE}>x</x31714510382>".encode(), "(name withheld): text where FHIR has none at line 1"),
        (_patient("<a>" * 130 + "</a>" * 130), f"Patient{'.a' * 128}: nested too deep at line 1"),
    ],
)
def test_what_is_no_fhir_xml_is_refused_with_path_and_line(data: bytes, text: str) -> None:
    """The place helps the vendor's developer; nothing of the content is told."""
    _says(data, text)


@pytest.mark.parametrize(
    ("data", "text"),
    [
        (b"", "not well-formed XML at line 1"),
        (b" \n\n", "not well-formed XML at line 3"),
        (b'{"resourceType":"Patient"}', "not well-formed XML at line 1"),
        (_patient("\n<name>"), "not well-formed XML at line 2"),
        (_patient("\n<name>")[:-12], "not well-formed XML at line 2"),
        (_patient("") + b"\n" + _patient(""), "not well-formed XML at line 2"),
        (_patient("") + b"x", "not well-formed XML at line 1"),
        (_patient(f"\n<gender value='{SECRET}' value='y'/>"), "not well-formed XML at line 2"),
        (_patient("\n<f:name/>"), "not well-formed XML at line 2"),
        (_patient(f"<text><div {XHTML}>\n&nbsp;</div></text>"), "not well-formed XML at line 2"),
        (_patient("<gender value='&#1;'/>"), "not well-formed XML at line 1"),
        (_patient("<gender value='\x00'/>"), "not well-formed XML at line 1"),
        (b"\n\n<?xml version='1.0'?>\n<a><b></a>", "not well-formed XML at line 4"),
        (b"<a>" * 100_000, "nested too deep or too long at line 1"),
        (_patient(f"<gender value='{'x' * 11_000_000}'/>"), "nested too deep or too long at line 1"),
    ],
)
def test_what_is_not_well_formed_is_refused_with_its_line(data: bytes, text: str) -> None:
    """Nothing is mended by guess, and no error of the parser gets out."""
    _says(data, text)


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
    _says(prolog.encode() + _patient('<gender value="&e;"/>'), "a DOCTYPE is not allowed")


def test_a_doctype_within_a_comment_is_a_comment() -> None:
    """Only what XML reads as one is one."""
    assert _read(b"<!-- <!DOCTYPE x> -->" + _patient("<!-- <!DOCTYPE x> -->")) == {"resourceType": "Patient"}


@pytest.mark.parametrize("count", [10, 100_000])
def test_comments_without_end_before_the_root_are_passed_over(count: int) -> None:
    """Looking for a DOCTYPE takes time by the length of the text and no stack."""
    assert _read(b"<!-- - x --> <?p ? ?>" * count + _patient("")) == {"resourceType": "Patient"}


def test_comments_and_instructions_leave_no_trace() -> None:
    """Between elements and within a text they are passed over; the text is one."""
    inside = f"<!-- a --><name><?p x?><given value='Ola'/><!-- b --></name><text><div {XHTML}>Ola<!-- x --><?y?> N</div></text>"
    tree = _read(b"<?style x?><!-- a -->" + _patient(inside) + b"<!-- b --><?end?>\n")
    assert tree["name"] == [{"given": ["Ola"]}]
    assert tree["text"] == {"div": f"<div {XHTML}>Ola N</div>"}


@pytest.mark.parametrize("start", [b"\xef\xbb\xbf", b"\r\n\t ", b"\xef\xbb\xbf\n", b"\n<?xml version='1.0'?>"])
@pytest.mark.parametrize("declared", [b"", b"<?xml version='1.0' encoding='utf-8'?>"])
def test_a_byte_order_mark_and_blanks_before_the_root_are_passed_over(start: bytes, declared: bytes) -> None:
    """Windows programs put the one in front, templates the other."""
    if declared and b"<?xml" in start:
        _says(start + declared + _patient(""), "not well-formed XML at line 2")
    else:
        assert _read(start + declared + _patient("")) == {"resourceType": "Patient"}


@pytest.mark.parametrize("encoding", ["iso-8859-1", "UTF-16", "utf-7", "klingon", "us-ascii"])
def test_a_declared_encoding_that_is_not_utf_8_is_refused(encoding: str) -> None:
    """FHIR is UTF-8 (FHIR R4, formats.html); whether the declaration lies or not, no encoding is guessed."""
    data = f'<?xml version="1.0" encoding="{encoding}"?>'.encode() + _patient('<gender value="å"/>')
    _says(data, "the XML declaration names another encoding than UTF-8")


def test_ascii_that_says_so_is_utf_8() -> None:
    """Every text in ASCII is one in UTF-8."""
    assert _read(b'<?xml version="1.0" encoding="US-ASCII"?>' + _patient("")) == {"resourceType": "Patient"}


@pytest.mark.parametrize("encoding", ["latin-1", "utf-16", "utf-16-le", "utf-16-be", "utf-32"])
def test_bytes_that_are_not_utf_8_are_refused(encoding: str) -> None:
    """Whatever the text itself says."""
    data = _patient('<gender value="å"/>').decode().encode(encoding)
    assert str(_refusal(data)).startswith(("not UTF-8 at byte ", "not well-formed XML at line 1"))


def test_an_inclusion_is_not_followed() -> None:
    """XInclude is another namespace and nothing more."""
    data = _patient('<x:include xmlns:x="http://www.w3.org/2001/XInclude" href="/etc/passwd"/>')
    _says(data, "Patient.include: an element of another namespace than FHIR at line 1")


@pytest.mark.parametrize("kind", ["Klingon", "patient", "ServiceRequest"])
def test_a_resource_of_no_known_type_is_left_to_the_next_step(kind: str) -> None:
    """It gets its name and its elements as they are, as from JSON."""
    assert _read(f'<{kind} {NAMESPACE}><id value="x"/></{kind}>'.encode()) == {"resourceType": kind, "id": "x"}


def test_what_is_written_is_in_the_order_of_the_definition() -> None:
    """XML prescribes the order (FHIR R4, xml.html), whatever order the tree has."""
    tree: Tree = {
        "active": True,
        "name": [{"_given": [None, {"id": "g"}], "given": ["A", "B"], "family": "x\n\ty&<>\"'", "id": "n"}],
        "text": {"div": f"<div {XHTML}>å</div>", "status": "generated"},
        "extension": [{"valueDecimal": Number("1.0"), "url": "u", "id": "e"}],
        "resourceType": "Patient",
        "_birthDate": {"extension": [{"url": "v"}]},
        "contained": [{"resourceType": "Basic", "id": "b"}],
    }
    written = (
        f'<?xml version="1.0" encoding="UTF-8"?>\n<Patient {NAMESPACE}>'
        f'<text><status value="generated"/><div {XHTML}>å</div></text>'
        '<contained><Basic><id value="b"/></Basic></contained>'
        '<extension id="e" url="u"><valueDecimal value="1.0"/></extension>'
        '<active value="true"/>'
        '<name id="n"><family value="x&#10;&#9;y&amp;&lt;&gt;&quot;\'"/><given value="A"/><given value="B" id="g"/></name>'
        '<birthDate><extension url="v"/></birthDate>'
        "</Patient>"
    )
    assert encode(tree, stu3()).decode() == written
    assert decode(written.encode(), stu3())[0] == tree


@pytest.mark.parametrize(
    ("fields", "text"),
    [
        ({"vendor": "x"}, "Patient has an element that FHIR XML does not have there"),
        ({"@id": "x"}, "Patient has an element that FHIR XML does not have there"),
        ({"gender": ["male"]}, "Patient.gender is one value"),
        ({"gender": None}, "Patient.gender is null"),
        ({"gender": True}, "Patient.gender is not the kind of value that FHIR has there"),
        ({"gender": {}}, "Patient.gender is not the kind of value that FHIR has there"),
        ({"active": "true"}, "Patient.active is not the kind of value that FHIR has there"),
        ({"multipleBirthInteger": "2"}, "Patient.multipleBirthInteger is not the kind of value that FHIR has there"),
        ({"gender": "a\x01b"}, "a text has a character that XML cannot hold"),
        ({"gender": "a\ud800b"}, "a text has a character that XML cannot hold"),
        ({"gender": "a\ufffeb"}, "a text has a character that XML cannot hold"),
        ({"name": {}}, "Patient.name is an array"),
        ({"name": []}, "Patient.name is an empty array"),
        ({"name": [None]}, "Patient.name is null"),
        ({"name": ["x"]}, "Patient.name is an object"),
        ({"name": [{"given": [None]}]}, "Patient.name.given is null"),
        (
            {"name": [{"given": [None, "x"], "_given": [None]}]},
            "Patient.name.given is not the kind of value that FHIR has there",
        ),
        ({"name": [{"id": Number("1")}]}, "Patient.name.id is a text"),
        ({"name": [{"_id": {"id": "x"}}]}, "Patient.name has an element that FHIR XML does not have there"),
        ({"extension": [{"_url": {"id": "x"}}]}, "Patient.extension has an element that FHIR XML does not have there"),
        ({"_gender": {}}, "Patient.gender has an empty object for id and extensions"),
        ({"_gender": [{"id": "x"}]}, "Patient.gender is one value"),
        ({"_name": {"id": "x"}}, "Patient has an element that FHIR XML does not have there"),
        ({"text": {"div": "x"}}, "a narrative is not well-formed XHTML"),
        ({"text": {"div": "<div>x</div>"}}, "a narrative is a div of the XHTML namespace"),
        ({"text": {"div": f"<div {XHTML}>&nbsp;</div>"}}, "a narrative is not well-formed XHTML"),
        ({"text": {"div": f"<div {XHTML}>\ud800</div>"}}, "a narrative is not well-formed XHTML"),
        ({"text": {"_div": {"id": "x"}}}, "Patient.text.div has id or extensions, for which XML has no place"),
        ({"contained": [{}]}, "Patient.contained is not a resource of FHIR STU3"),
        ({"contained": [{"resourceType": "Coding"}]}, "Patient.contained is not a resource of FHIR STU3"),
    ],
)
def test_a_tree_that_xml_cannot_hold_is_not_written(fields: Tree, text: str) -> None:
    """Nothing is left out, and nothing made up, so that the XML says less or more than the tree."""
    assert isinstance(fields, dict)
    with pytest.raises(ValueError, match=re.escape(text)) as caught:
        encode({"resourceType": "Patient", **fields}, stu3())
    assert str(caught.value) == text


@pytest.mark.parametrize("tree", [None, "x", [], {}, {"resourceType": None}, {"resourceType": "Coding"}])
def test_a_tree_that_is_no_resource_is_not_written(tree: Tree) -> None:
    """XML has to name the type."""
    with pytest.raises(ValueError, match="the tree is not a resource of FHIR R4"):
        encode(tree, r4())


def test_a_tree_without_end_is_not_written() -> None:
    """What would be refused on the way back is not written either."""
    tree: Tree = {"url": "u"}
    for _ in range(200):
        tree = {"url": "u", "extension": [tree]}
    with pytest.raises(ValueError, match="nested too deep"):
        encode({"resourceType": "Basic", "extension": [tree]}, r4())
