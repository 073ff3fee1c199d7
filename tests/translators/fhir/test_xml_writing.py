"""FHIR XML out: in the order of the definition, and nothing that XML cannot hold."""

import re

import pytest

from tests.translators.fhir.xml_texts import NAMESPACE, XHTML
from translators.contract import Number, Tree
from translators.fhir.elements import r4, stu3
from translators.fhir.xml_codec import decode, encode


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
