"""FHIR XML in: the same tree as FHIR JSON, to the letter."""

import pytest

from tests.translators.fhir.xml_texts import NAMESPACE, SECRET, XHTML, XSI, patient, read, says
from translators.contract import Number, Repair, Tree
from translators.fhir.elements import r4, stu3
from translators.fhir.xml_codec import decode

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
    assert read(BUNDLE.encode()) == BUNDLE_TREE


def test_a_resource_says_its_type_first() -> None:
    """So do the trees of FHIR JSON as people write it, and routing need not look far."""
    flag = read(BUNDLE.encode())["entry"][0]["resource"]
    assert list(flag)[:2] == ["resourceType", "id"]


def test_the_same_message_with_prefixes_is_the_same() -> None:
    """A prefix is the sender's choice and says nothing."""
    prefixed = BUNDLE.replace("<", "<f:").replace("<f:/", "</f:").replace("<f:?", "<?").replace("xmlns=", "xmlns:f=")
    assert read(prefixed.encode()) == BUNDLE_TREE


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
    assert read(patient(inside)) == {"resourceType": "Patient", **fields}


@pytest.mark.parametrize(
    "digits", ["81.30", "-0.0", "1e2", "0.10000000000000000000000001", "123456789012345678901234567890"]
)
def test_a_number_keeps_its_digits(digits: str) -> None:
    """No number is turned into a binary float."""
    data = f'<Observation {NAMESPACE}><valueQuantity><value value="{digits}"/></valueQuantity></Observation>'
    assert read(data.encode())["valueQuantity"] == {"value": Number(digits)}


def test_a_line_end_written_as_such_stays_and_a_bare_one_is_a_blank() -> None:
    """So XML has it (XML 1.0, section 3.3.3): what the sender's writer did not escape, no reader can see."""
    tree = read(patient('<name><text value="one&#10;two&#9;three\nfour\tfive"/></name>'))
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
    assert read(patient(inside)) == {"resourceType": "Patient", **fields}


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
    assert read(patient(f"<name>{inside}</name>"))["name"] == [fields]


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
    assert read(patient(inside)) == {"resourceType": "Patient", **fields}


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
    assert read(patient(inside)) == {"resourceType": "Patient", **fields}


def test_attributes_of_a_resource_and_of_its_place_stay_too() -> None:
    """A resource's id is an element; an attribute of that name is none of it."""
    data = f'<Bundle {NAMESPACE} id="b"><entry><resource id="p"><Basic id="r"/></resource></entry></Bundle>'
    with_place = read(data.encode())
    assert with_place["@id"] == "b"
    assert with_place["entry"] == [{"resource": {"resourceType": "Basic", "@id": "r"}}]


@pytest.mark.parametrize("name", ["resourceType", "_gender", "id"])
def test_an_element_that_would_pass_for_something_of_json_is_refused(name: str) -> None:
    """Nobody may write `resourceType` or a sibling as an element, nor the id of a data type."""
    data = patient(f'<name>\n<{name} value="{SECRET}"/></name>')
    says(data, f"Patient.name[0].{name}: an element that FHIR XML does not have at line 2")


def test_a_div_without_its_namespace_is_not_taken_for_a_narrative() -> None:
    """In FHIR's own namespace there is no div."""
    says(
        patient('<text><div value="x"/></text>'),
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
    data = patient(f'<text><status value="generated"/>{inside}</text><active value="true"/>')
    assert read(data) == {"resourceType": "Patient", "text": {"status": "generated", "div": text}, "active": True}


def test_two_narratives_in_one_place_become_an_array() -> None:
    """The second is neither lost nor put over the first."""
    tree = read(patient(f"<text><div {XHTML}>1</div><div {XHTML}>2</div></text>"))
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
    says(patient(f"<text>{inside}</text>"), f"Patient.text.div: {what} at line 2")


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


@pytest.mark.parametrize("kind", ["Klingon", "patient", "ServiceRequest"])
def test_a_resource_of_no_known_type_is_left_to_the_next_step(kind: str) -> None:
    """It gets its name and its elements as they are, as from JSON."""
    assert read(f'<{kind} {NAMESPACE}><id value="x"/></{kind}>'.encode()) == {"resourceType": kind, "id": "x"}
