"""What a message carries: of a hodemelding (MsgHead) the note or the FHIR resource in it, of every other message itself.

It knows trees alone, so that whoever tells messages apart need not know how one is read.
"""

from collections.abc import Iterator

from translators.contract import Tree

MSGHEAD = "MsgHead"
RELEASES = ("stu3", "r4")
"""What a FHIR tree stands under in a MsgHead, by its release."""

_NAMES = """
    Ack Address Annotation Base64Container Begrunnelse CS CV CaseNo City ComMethod Compression Consent Content ContentCategory
    ContentDescription ContentType ConversationRef Country County DN DateOfBirth DatoNotat Description
    Dialogmelding Document DocumentConnection DokIdForesp DokIdNotat EmneSporsmal EnquiryRefId Envelope
    FamilyName FileReference Foresporsel Formål FraDato FromDate GenDate GivenName Hastegrad
    HealthcareProfessional Id Ident IssueDate KodetOpplysning Kontaktenhet MIGversion Merknad MiddleName
    MimeType MsgHead MsgId MsgInfo MsgType Nationality Notat OT OidRef Organisation OrganisationName
    OtherReceiver Patient PatientReport Person PostalCode Postbox ProcessingStatus Receiver RefDoc
    RefToConversation RefToParent RequestedPriority RoleReceiver RoleToPatient RolleNotat RollerRelatertNotat S
    Sakstype SakstypeKodet SendMelding SendMeldingResponse Sender Sex Signature Sporsmal StreetAdr TS
    TekstNotatInnhold TeleAddress TeleCom Tema TemaKodet TilDato TilknyttetEnhet ToDate Type TypeForesp
    TypeHealthcareProfessional TypeId TypeJournalinfo TypeOrganisation TypeTelecom URL V oid
"""
NAMES = frozenset(_NAMES.split())
"""Names of a MsgHead's elements and attributes: those of its schemas, which are no person's."""


def is_msghead(tree: Tree) -> bool:
    """Tell whether a tree is that of a MsgHead."""
    return isinstance(tree, dict) and tree.get("resourceType") == MSGHEAD


def payload_of(tree: Tree) -> tuple[str, Tree]:
    """Return what a MsgHead is about, by name: one of `RELEASES` with a FHIR tree, or an element that is no FHIR; "" for nothing."""
    content = fields_of(fields_of(next(objects(tree, "Document"), None), "RefDoc"), "Content")
    return next(iter(content.items()), ("", None))


def message_id(tree: Tree) -> str:
    """Return the MsgId of a MsgHead, or of what could be read of one; "" where there is none."""
    found = fields_of(tree, "MsgInfo").get("MsgId")
    return found.strip() if isinstance(found, str) else ""


def fields_of(tree: Tree, name: str) -> dict[str, Tree]:
    """Return an element of an element; empty where that is none."""
    found = tree.get(name) if isinstance(tree, dict) else None
    return found if isinstance(found, dict) else {}


def objects(tree: Tree, name: str) -> Iterator[dict[str, Tree]]:
    """Go through the elements of a repeating element."""
    found = tree.get(name) if isinstance(tree, dict) else None
    for one in found if isinstance(found, list) else ():
        if isinstance(one, dict):
            yield one


def without_payload(tree: dict[str, Tree]) -> dict[str, Tree]:
    """Return a MsgHead without what it carries; nothing else of it is copied."""
    documents = tree.get("Document")
    if not isinstance(documents, list) or not documents or not isinstance(documents[0], dict):
        return tree
    first = documents[0]
    around: Tree = {name: value for name, value in fields_of(first, "RefDoc").items() if name != "Content"}
    return {**tree, "Document": [{**first, "RefDoc": around}, *documents[1:]]}
