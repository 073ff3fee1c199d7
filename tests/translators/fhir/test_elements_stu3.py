"""The STU3 table against a list written by hand from HL7's pages (hl7.org/fhir/STU3), and against what any table must be."""

import pytest

from translators.fhir.elements import ANY_RESOURCE, ELEMENT, r4, stu3

IN_EVERY_RESOURCE = "id:id meta:Meta implicitRules:uri language:code"
IN_EVERY_DOMAIN_RESOURCE = (
    f"{IN_EVERY_RESOURCE} text:Narrative contained:Resource* extension:Extension* modifierExtension:Extension*"
)
IN_EVERY_ELEMENT = "id:string extension:Extension*"
IN_EVERY_BACKBONE = f"{IN_EVERY_ELEMENT} modifierExtension:Extension*"

AS_HL7_HAS_THEM = {
    "Resource": IN_EVERY_RESOURCE,
    "Element": IN_EVERY_ELEMENT,
    "BackboneElement": IN_EVERY_BACKBONE,
    "Bundle": f"{IN_EVERY_RESOURCE} identifier:Identifier type:code total:unsignedInt link:Bundle.link*"
    " entry:Bundle.entry* signature:Signature",
    "Bundle.link": f"{IN_EVERY_BACKBONE} relation:string url:uri",
    "Bundle.entry": f"{IN_EVERY_BACKBONE} link:Bundle.link* fullUrl:uri resource:Resource search:Bundle.entry.search"
    " request:Bundle.entry.request response:Bundle.entry.response",
    "Bundle.entry.response": f"{IN_EVERY_BACKBONE} status:string location:uri etag:string lastModified:instant"
    " outcome:Resource",
    "MessageHeader": f"{IN_EVERY_DOMAIN_RESOURCE} event:Coding destination:MessageHeader.destination* receiver:Reference"
    " sender:Reference timestamp:instant enterer:Reference author:Reference source:MessageHeader.source"
    " responsible:Reference reason:CodeableConcept response:MessageHeader.response focus:Reference*",
    "MessageHeader.destination": f"{IN_EVERY_BACKBONE} name:string target:Reference endpoint:uri",
    "MessageHeader.source": f"{IN_EVERY_BACKBONE} name:string software:string version:string contact:ContactPoint"
    " endpoint:uri",
    "MessageHeader.response": f"{IN_EVERY_BACKBONE} identifier:id code:code details:Reference",
    "MedicationDispense": f"{IN_EVERY_DOMAIN_RESOURCE} identifier:Identifier* partOf:Reference* status:code"
    " category:CodeableConcept medicationCodeableConcept:CodeableConcept medicationReference:Reference"
    " subject:Reference context:Reference supportingInformation:Reference* performer:MedicationDispense.performer*"
    " authorizingPrescription:Reference* type:CodeableConcept quantity:Quantity daysSupply:Quantity"
    " whenPrepared:dateTime whenHandedOver:dateTime destination:Reference receiver:Reference* note:Annotation*"
    " dosageInstruction:Dosage* substitution:MedicationDispense.substitution detectedIssue:Reference*"
    " notDone:boolean notDoneReasonCodeableConcept:CodeableConcept notDoneReasonReference:Reference"
    " eventHistory:Reference*",
    "MedicationDispense.performer": f"{IN_EVERY_BACKBONE} actor:Reference onBehalfOf:Reference",
    "MedicationDispense.substitution": f"{IN_EVERY_BACKBONE} wasSubstituted:boolean type:CodeableConcept"
    " reason:CodeableConcept* responsibleParty:Reference*",
    "Encounter": f"{IN_EVERY_DOMAIN_RESOURCE} identifier:Identifier* status:code statusHistory:Encounter.statusHistory*"
    " class:Coding classHistory:Encounter.classHistory* type:CodeableConcept* priority:CodeableConcept"
    " subject:Reference episodeOfCare:Reference* incomingReferral:Reference* participant:Encounter.participant*"
    " appointment:Reference period:Period length:Duration reason:CodeableConcept* diagnosis:Encounter.diagnosis*"
    " account:Reference* hospitalization:Encounter.hospitalization location:Encounter.location*"
    " serviceProvider:Reference partOf:Reference",
    "Encounter.statusHistory": f"{IN_EVERY_BACKBONE} status:code period:Period",
    "Encounter.classHistory": f"{IN_EVERY_BACKBONE} class:Coding period:Period",
    "Encounter.participant": f"{IN_EVERY_BACKBONE} type:CodeableConcept* period:Period individual:Reference",
    "Encounter.diagnosis": f"{IN_EVERY_BACKBONE} condition:Reference role:CodeableConcept rank:positiveInt",
    "Encounter.location": f"{IN_EVERY_BACKBONE} location:Reference status:code period:Period",
    "Composition": f"{IN_EVERY_DOMAIN_RESOURCE} identifier:Identifier status:code type:CodeableConcept"
    " class:CodeableConcept subject:Reference encounter:Reference date:dateTime author:Reference* title:string"
    " confidentiality:code attester:Composition.attester* custodian:Reference relatesTo:Composition.relatesTo*"
    " event:Composition.event* section:Composition.section*",
    "Composition.attester": f"{IN_EVERY_BACKBONE} mode:code* time:dateTime party:Reference",
    "Composition.relatesTo": f"{IN_EVERY_BACKBONE} code:code targetIdentifier:Identifier targetReference:Reference",
    "Composition.section": f"{IN_EVERY_BACKBONE} title:string code:CodeableConcept text:Narrative mode:code"
    " orderedBy:CodeableConcept entry:Reference* emptyReason:CodeableConcept section:Composition.section*",
    "Flag": f"{IN_EVERY_DOMAIN_RESOURCE} identifier:Identifier* status:code category:CodeableConcept"
    " code:CodeableConcept subject:Reference period:Period encounter:Reference author:Reference",
    "Location": f"{IN_EVERY_DOMAIN_RESOURCE} identifier:Identifier* status:code operationalStatus:Coding name:string"
    " alias:string* description:string mode:code type:CodeableConcept telecom:ContactPoint* address:Address"
    " physicalType:CodeableConcept position:Location.position managingOrganization:Reference partOf:Reference"
    " endpoint:Reference*",
    "Location.position": f"{IN_EVERY_BACKBONE} longitude:decimal latitude:decimal altitude:decimal",
    "Observation": f"{IN_EVERY_DOMAIN_RESOURCE} identifier:Identifier* basedOn:Reference* status:code"
    " category:CodeableConcept* code:CodeableConcept subject:Reference context:Reference effectiveDateTime:dateTime"
    " effectivePeriod:Period issued:instant performer:Reference* valueQuantity:Quantity"
    " valueCodeableConcept:CodeableConcept valueString:string valueBoolean:boolean valueRange:Range valueRatio:Ratio"
    " valueSampledData:SampledData valueAttachment:Attachment valueTime:time valueDateTime:dateTime"
    " valuePeriod:Period dataAbsentReason:CodeableConcept interpretation:CodeableConcept comment:string"
    " bodySite:CodeableConcept method:CodeableConcept specimen:Reference device:Reference"
    " referenceRange:Observation.referenceRange* related:Observation.related* component:Observation.component*",
    "Observation.related": f"{IN_EVERY_BACKBONE} type:code target:Reference",
    "Observation.referenceRange": f"{IN_EVERY_BACKBONE} low:Quantity high:Quantity type:CodeableConcept"
    " appliesTo:CodeableConcept* age:Range text:string",
    "Observation.component": f"{IN_EVERY_BACKBONE} code:CodeableConcept valueQuantity:Quantity"
    " valueCodeableConcept:CodeableConcept valueString:string valueRange:Range valueRatio:Ratio"
    " valueSampledData:SampledData valueAttachment:Attachment valueTime:time valueDateTime:dateTime"
    " valuePeriod:Period dataAbsentReason:CodeableConcept interpretation:CodeableConcept"
    " referenceRange:Observation.referenceRange*",
    "Device": f"{IN_EVERY_DOMAIN_RESOURCE} identifier:Identifier* udi:Device.udi status:code type:CodeableConcept"
    " lotNumber:string manufacturer:string manufactureDate:dateTime expirationDate:dateTime model:string"
    " version:string patient:Reference owner:Reference contact:ContactPoint* location:Reference url:uri"
    " note:Annotation* safety:CodeableConcept*",
    "Device.udi": f"{IN_EVERY_BACKBONE} deviceIdentifier:string name:string jurisdiction:uri carrierHRF:string"
    " carrierAIDC:base64Binary issuer:uri entryType:code",
    "Annotation": f"{IN_EVERY_ELEMENT} authorReference:Reference authorString:string time:dateTime text:string",
    "Dosage": f"{IN_EVERY_ELEMENT} sequence:integer text:string additionalInstruction:CodeableConcept*"
    " patientInstruction:string timing:Timing asNeededBoolean:boolean asNeededCodeableConcept:CodeableConcept"
    " site:CodeableConcept route:CodeableConcept method:CodeableConcept doseRange:Range doseQuantity:Quantity"
    " maxDosePerPeriod:Ratio maxDosePerAdministration:Quantity maxDosePerLifetime:Quantity rateRatio:Ratio"
    " rateRange:Range rateQuantity:Quantity",
    "Reference": f"{IN_EVERY_ELEMENT} reference:string identifier:Identifier display:string",
    "Identifier": f"{IN_EVERY_ELEMENT} use:code type:CodeableConcept system:uri value:string period:Period"
    " assigner:Reference",
    "Quantity": f"{IN_EVERY_ELEMENT} value:decimal comparator:code unit:string system:uri code:code",
    "Meta": f"{IN_EVERY_ELEMENT} versionId:id lastUpdated:instant profile:uri* security:Coding* tag:Coding*",
    "Narrative": f"{IN_EVERY_ELEMENT} status:code div:xhtml",
    "OperationOutcome": f"{IN_EVERY_DOMAIN_RESOURCE} issue:OperationOutcome.issue*",
    "OperationOutcome.issue": f"{IN_EVERY_BACKBONE} severity:code code:code details:CodeableConcept diagnostics:string"
    " location:string* expression:string*",
    "Patient": f"{IN_EVERY_DOMAIN_RESOURCE} identifier:Identifier* active:boolean name:HumanName*"
    " telecom:ContactPoint* gender:code birthDate:date deceasedBoolean:boolean deceasedDateTime:dateTime"
    " address:Address* maritalStatus:CodeableConcept multipleBirthBoolean:boolean multipleBirthInteger:integer"
    " photo:Attachment* contact:Patient.contact* animal:Patient.animal communication:Patient.communication*"
    " generalPractitioner:Reference* managingOrganization:Reference link:Patient.link*",
    "Patient.contact": f"{IN_EVERY_BACKBONE} relationship:CodeableConcept* name:HumanName telecom:ContactPoint*"
    " address:Address gender:code organization:Reference period:Period",
    "Patient.animal": f"{IN_EVERY_BACKBONE} species:CodeableConcept breed:CodeableConcept genderStatus:CodeableConcept",
    "Claim.payee": f"{IN_EVERY_BACKBONE} type:CodeableConcept resourceType:Coding party:Reference",
}
VALUES_OF_AN_EXTENSION = (
    "base64Binary boolean code date dateTime decimal id instant integer markdown oid positiveInt string time unsignedInt"
    " uri Address Age Annotation Attachment CodeableConcept Coding ContactPoint Count Distance Duration HumanName"
    " Identifier Meta Money Period Quantity Range Ratio Reference SampledData Signature Timing"
)


def _row(kind: str) -> list[str]:
    return [
        f"{name}:{element.type}{'*' * element.repeats}"
        for name, element in stu3().types[kind].items()
        if not name.startswith("_") and (name != "resourceType" or kind not in stu3().resources)
    ]


@pytest.mark.parametrize("kind", AS_HL7_HAS_THEM)
def test_a_type_has_the_elements_of_the_standard_in_their_order(kind: str) -> None:
    """Name, type, repetition and order, which XML needs, are those of hl7.org/fhir/STU3."""
    assert _row(kind) == AS_HL7_HAS_THEM[kind].split()


def test_an_extension_has_a_value_of_every_open_type() -> None:
    """One name in JSON for each type that a value may have (hl7.org/fhir/STU3/extensibility.html)."""
    values = {f"value{kind[0].upper()}{kind[1:]}:{kind}" for kind in VALUES_OF_AN_EXTENSION.split()}
    assert _row("Extension")[:3] == [*IN_EVERY_ELEMENT.split(), "url:uri"]
    assert set(_row("Extension")[3:]) == values


def test_every_type_that_an_element_names_is_in_the_table() -> None:
    """No element leads to a type that the reader does not know, and no backbone type is without an element."""
    types = stu3().types
    named = {element.type for row in types.values() for element in row.values() if not element.primitive}
    assert named <= set(types)
    assert {kind for kind in types if "." in kind} <= named


def test_a_backbone_type_stands_where_its_name_says() -> None:
    """The path of a backbone type is the path of the element that has it."""
    types = stu3().types
    for kind in types:
        if "." in kind:
            owner, name = kind.rsplit(".", 1)
            assert types[owner][name].type == kind


def test_the_resources_are_those_of_the_standard() -> None:
    """The 117 concrete resources of STU3 (hl7.org/fhir/STU3/resourcelist.html), and no abstract type among them."""
    names = stu3().resources
    assert len(names) == 117
    assert {"BodySite", "DeviceComponent", "ProcedureRequest", "ReferralRequest", "Sequence", "Binary"} <= names
    assert not names & {ANY_RESOURCE, "DomainResource", "MetadataResource", "ServiceRequest"}
    assert {name for name, row in stu3().types.items() if "resourceType" in row} - names == {
        "Claim.payee",
        "ExplanationOfBenefit.payee",
    }


def test_every_primitive_has_a_sibling_that_repeats_as_it_does_and_nothing_else_has_one() -> None:
    """`_name` holds id and extensions of the primitive `name`, and only of a primitive."""
    for kind, row in stu3().types.items():
        siblings = {name[1:]: element for name, element in row.items() if name.startswith("_")}
        primitives = {name for name, element in row.items() if element.primitive}
        if kind in stu3().resources:
            primitives.remove("resourceType")
        assert set(siblings) == primitives
        assert all(sibling.type == ELEMENT for sibling in siblings.values())
        assert all(sibling.repeats == row[name].repeats for name, sibling in siblings.items())


def test_a_release_has_its_name_and_is_read_once() -> None:
    """Each release is one object, known by its name."""
    assert (stu3().name, r4().name) == ("STU3", "R4")
    assert stu3() is stu3()
    assert r4() is r4()
    assert stu3() != r4()
