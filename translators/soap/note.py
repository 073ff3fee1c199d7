"""A Dialogmelding 1.1 with a note, as VKP R4 has it: a Composition, and a document around it where files are attached."""

import re
from hashlib import sha256
from html import escape

from translators.contract import Reason, Refused, Settings, Tree
from translators.document import UUID_SYSTEM, Entry, instant, new_entry, new_url
from translators.fhir.cross_version import OWN
from translators.fhir.cross_version import RULE as KEPT
from translators.fhir.json_codec import encode
from translators.made import made, plain
from translators.national_number import kind_of
from translators.note import EPISODE_NOTE, LINE_END, PROFILE
from translators.patient import BIRTH_NUMBER, NO_NUMBER, system_of
from translators.soap.local_time import with_offset
from translators.source import Cursor
from translators.stu3.parts import coding
from translators.terminology import CATEGORY, SECTION

HER_IDS = "urn:oid:2.16.578.1.12.4.1.2"
_HPR_NUMBERS = "urn:oid:2.16.578.1.12.4.1.4.4"
_ORGNRS = "urn:oid:2.16.578.1.12.4.1.4.101"
_RULE = "note-of-a-dialogmelding"
_AS_NARRATIVE = "text-as-narrative"
_OFFSET = "offset-of-norwegian-time"
_NATIONAL = ("FNR", "DNR", "FHN")
_MODIFYING = ("Consent", "DocumentConnection", "Compression")
_GENDERS = {"1": "male", "2": "female"}
_ZONE_OF_DATE = re.compile(r"(\d{4}-\d{2}-\d{2})(?:Z|[+-]\d{2}:\d{2})")
_UUID = re.compile(r"[0-9A-Fa-f]{8}(-[0-9A-Fa-f]{4}){3}-[0-9A-Fa-f]{12}")


def note(root: Cursor, settings: Settings) -> dict[str, Tree]:
    """Return what a MsgHead with a Dialogmelding becomes; raises `Refused` for anything but one note in it."""
    info, documents = _needed(root, "MsgInfo"), root.each("Document")
    content = documents[0].at("RefDoc")
    dialogue = content.at("Content") if content is not None else None
    held = dialogue.at("Dialogmelding") if dialogue is not None else None
    notes = held.each("Notat") if held is not None else []
    if held is None or len(notes) != 1 or notes[0].has("Foresporsel"):
        raise Refused(
            Reason.UNSUPPORTED, "a Dialogmelding with one Notat, and no Foresporsel, is what is taken", root.path
        )
    identifier = _business(info)
    said, date = _sections(notes[0]), _date(info)
    composition: dict[str, Tree] = {
        "resourceType": made("Composition", _RULE),
        "meta": made({"profile": [PROFILE]}, _RULE),
        **_patient_in_full(info),
        "identifier": made(identifier, "identifier-of-the-message"),
        "status": made("final", _RULE),
        "type": _type(notes[0]),
        "category": made([{"coding": [coding(CATEGORY, "1")]}], _RULE),
        "subject": _subject(info),
        "date": date,
        "author": made([_author(info)], "author-of-the-sender"),
        "title": _title(notes[0]),
        **_event(notes[0]),
        "section": said,
    }
    attached = [_attachment(one) for one in documents[1:]]
    extensions = [
        *kept(held, "Dialogmelding", but=("Notat",)),
        *kept(notes[0], "Notat"),
        *kept(documents[0], "Document", but=("RefDoc",)),
        *(kept(content, "RefDoc", but=("Content", "MsgType")) if content is not None else ()),
        *kept(info, "MsgInfo", only=("Type", "ConversationRef", "RequestedPriority")),
    ]
    if extensions:
        composition["extension"] = extensions
    return composition if not attached else _document(composition, attached, _seed(root, identifier), settings)


def kept(at: Cursor, owner: str, but: tuple[str, ...] = (), only: tuple[str, ...] = ()) -> list[Tree]:
    """Carry what is not read yet of an element in extensions of the gateway's own, but these fields of it, or these alone.

    What may change the meaning of a document is never kept so: it stays unread, and is a loss.
    """
    found: list[Tree] = []
    for below in at.children():
        if below.name in but or below.name in _MODIFYING or (only and below.name not in only):
            continue
        url = f"{OWN}:msghead:{owner}.{below.name}"
        found += [one for item in _items(below) if (one := _extension(item, url)) is not None]
    return found


def _extension(at: Cursor, url: str) -> dict[str, Tree] | None:
    """Return an extension with what is not read yet of an element; None where nothing is left."""
    if at.is_read:
        return None
    if not isinstance(at.value, dict):
        return {"url": made(url, KEPT), "valueString": at.carry()}
    inside = [_extension(item, below.name) for below in at.children() for item in _items(below)]
    inner: list[Tree] = [one for one in inside if one is not None]
    return {"url": made(url, KEPT), "extension": inner} if inner else None


def _items(at: Cursor) -> list[Cursor]:
    return at.children() if isinstance(at.value, list) else [at]


def _needed(at: Cursor, name: str) -> Cursor:
    found = at.at(name)
    if found is None:
        raise Refused(Reason.FORMAT, f"{name} is missing", at.path)
    return found


def _business(info: Cursor) -> dict[str, Tree]:
    own = info.text("MsgId") or ""
    return {"system": UUID_SYSTEM, "value": f"urn:uuid:{own.lower()}"} if _UUID.fullmatch(own) else {"value": own}


def _seed(root: Cursor, identifier: dict[str, Tree]) -> str:
    """Return what tells a message from all others: a MsgId that is a UUID, else all it says as well."""
    own = str(identifier["value"])
    return own if "system" in identifier else f"{own}|{sha256(encode(root.value)).hexdigest()}"


def _date(info: Cursor) -> Tree:
    """Return when the message was made: in v090 the date of a note is when its system saved or sent it."""
    return _timed(_needed(info, "GenDate"))


def _timed(at: Cursor) -> Tree:
    text = at.value if isinstance(at.value, str) else ""
    if _ZONE_OF_DATE.fullmatch(text):
        return _day(at)
    whole = with_offset(text.strip(), at.path)
    return at.carry() if whole == text else at.replaced(whole, _OFFSET)


def _type(at: Cursor) -> Tree:
    """Return the type that every note has, and after it what the note says that it is about."""
    first = made(dict(EPISODE_NOTE), "type-of-every-note")
    theme = _needed(at, "TemaKodet")
    own, system = {}, theme.at("S")
    if system is not None and theme.has("V"):
        own["system"] = system.replaced(f"urn:oid:{system.value}", "oid-as-uri")
    own |= {name: theme.take(field) for name, field in (("code", "V"), ("display", "DN")) if theme.has(field)}
    text = {"text": theme.take("OT")} if theme.has("OT") else {}
    return {"coding": [first, *([own] if own else [])], **text}


def _title(at: Cursor) -> Tree:
    return at.take("Tema") if at.has("Tema") else made(at.text("TemaKodet", "DN") or "Journalnotat", _RULE)


def _event(at: Cursor) -> dict[str, Tree]:
    """Return the day that the note names, which need not be when it was sent."""
    day = at.at("DatoNotat")
    if day is None:
        return {}
    found = _day(day)
    return {"event": [{"period": {"start": found, "end": made(plain(found), "day-of-the-note")}}]}


def _day(at: Cursor) -> Tree:
    zoned = _ZONE_OF_DATE.fullmatch(at.value) if isinstance(at.value, str) else None
    return at.carry() if zoned is None else at.replaced(zoned[1], "day-without-offset")


def _sections(at: Cursor) -> list[Tree]:
    """Return what the note says: its text and its remark; raises `Refused` where it says nothing."""
    found: list[Tree] = []
    for field, title in (("TekstNotatInnhold", "Notat"), ("Merknad", "Merknad")):
        below = at.at(field)
        if below is None:
            continue
        marked_up = below.at("xhtml")
        if marked_up is not None:
            div = marked_up.carry()
        elif isinstance(below.value, dict):
            raise Refused(Reason.FORMAT, "neither a text nor XHTML", below.path)
        else:
            text = LINE_END.sub("<br/>", escape(str(below.value), quote=False))
            div = below.replaced(f'<div xmlns="http://www.w3.org/1999/xhtml"><p>{text}</p></div>', _AS_NARRATIVE)
        head: dict[str, Tree] = {"title": title, "code": {"coding": [coding(SECTION, "1")]}}
        told: Tree = {"status": made("additional", _RULE), "div": div}
        found.append({**{name: made(value, _RULE) for name, value in head.items()}, "text": told})
    if not found:
        raise Refused(Reason.FORMAT, "the note has no text", at.path)
    return found


def _subject(info: Cursor) -> Tree:
    number = number_of(info)
    if number is None:
        raise Refused(Reason.PATIENT, NO_NUMBER, "MsgHead.MsgInfo")
    at, text = number
    for ident in _national(info):
        # Of a number that is said again, or left empty, nothing more is to be said.
        ident.use(*(("TypeId",) if at.parent is not None and ident.path == at.parent.path else ("Id", "TypeId")))
    system = BIRTH_NUMBER if kind_of(text) is None else system_of(text)
    value = at.carry() if at.value == text else at.replaced(text, "whitespace-trimmed")
    link: dict[str, Tree] = {"reference": made("#patient", _RULE)} if _is_described(info) else {}
    return {**link, "identifier": {"system": made(system, "system-of-the-number"), "value": value}}


def number_of(info: Cursor) -> tuple[Cursor, str] | None:
    """Return the patient's national number and its place; uses nothing of it. Raises `Refused` for a second one."""
    places = [at for one in _national(info) if (at := one.at("Id")) is not None]
    found = [(at, number) for at in places if (number := str(at.value).strip())]
    others = [at for at, number in found if number != found[0][1]]
    if others:
        raise Refused(Reason.PATIENT, "several national identity numbers for one patient", others[0].path)
    return found[0] if found else None


def _national(info: Cursor) -> list[Cursor]:
    """Return where the patient's national numbers are said, or left empty."""
    patient = info.at("Patient")
    return [one for one in (patient.each("Ident") if patient is not None else ()) if _kind(one) in _NATIONAL]


def _kind(ident: Cursor) -> str:
    return (ident.text("TypeId", "V") or "").strip().upper()


def _is_described(info: Cursor) -> bool:
    patient = info.at("Patient")
    if patient is None:
        return False
    is_of_another_kind = any(_kind(one) not in _NATIONAL for one in patient.each("Ident"))
    return is_of_another_kind or any(one.name != "Ident" for one in patient.children())


def _patient_in_full(info: Cursor) -> dict[str, Tree]:
    """Return the patient as a contained resource where more is said of it than its number."""
    patient, number = info.at("Patient"), number_of(info)
    if patient is None or number is None or not _is_described(info):
        return {}
    name: dict[str, Tree] = {"family": patient.take("FamilyName")} if patient.has("FamilyName") else {}
    given = [patient.take(field) for field in ("GivenName", "MiddleName") if patient.has(field)]
    name |= {"given": given} if given else {}
    system = BIRTH_NUMBER if kind_of(number[1]) is None else system_of(number[1])
    own: dict[str, Tree] = {
        "resourceType": made("Patient", _RULE),
        "id": made("patient", _RULE),
        "identifier": made([{"system": system, "value": number[1]}], "number-of-the-subject"),
        **({"name": [name]} if name else {}),
    }
    sex = patient.at("Sex")
    if sex is not None and (gender := _GENDERS.get(sex.text("V") or "")) is not None:
        own["gender"] = _needed(sex, "V").replaced(gender, "gender-of-the-code")
        sex.use("DN")
    if (born := patient.at("DateOfBirth")) is not None:
        own["birthDate"] = _day(born)
    more = kept(patient, "Patient", but=("Ident", *(["Sex"] if "gender" in own else [])))
    others = [ident for ident in patient.each("Ident") if _kind(ident) not in _NATIONAL]
    found = [_extension(ident, f"{OWN}:msghead:Patient.Ident") for ident in others]
    more += [one for one in found if one is not None]
    return {"contained": [own | ({"extension": more} if more else {})]}


def _author(info: Cursor) -> dict[str, Tree]:
    """Return who sent the note: the person that the sender names, or the innermost organisation."""
    at = _needed(_needed(info, "Sender"), "Organisation")
    while (inner := at.at("Organisation")) is not None:
        at = inner
    person = at.at("HealthcareProfessional")
    if person is not None:
        names = [person.text(field) for field in ("GivenName", "MiddleName", "FamilyName")]
        return _named(person, " ".join(filter(None, names)), (("HPR", _HPR_NUMBERS), ("HER", HER_IDS)))
    return _named(at, at.text("OrganisationName") or "", (("HER", HER_IDS), ("ENH", _ORGNRS)))


def _named(at: Cursor, display: str, systems: tuple[tuple[str, str], ...]) -> dict[str, Tree]:
    numbers = {_kind(one): one.text("Id") for one in at.each("Ident")}
    known = next(((system, value) for kind, system in systems if (value := numbers.get(kind))), None)
    identifier: dict[str, Tree] = {"identifier": {"system": known[0], "value": known[1].strip()}} if known else {}
    return {**identifier, "display": display or "Avsender"}


def _attachment(document: Cursor) -> dict[str, Tree]:
    """Return an attached file, as a DocumentReference; what says where it lies is carried, and never fetched."""
    content = _needed(document, "RefDoc")
    held = content.at("Content")
    if held is not None and not held.has("Base64Container"):
        raise Refused(Reason.UNSUPPORTED, "one note, and files beside it, are what one message may have", held.path)
    file: dict[str, Tree] = {}
    if held is not None:
        file["data"] = held.take("Base64Container")
    for name, field in (("contentType", "MimeType"), ("url", "FileReference"), ("title", "Description")):
        if content.has(field):
            file[name] = content.take(field)
    issued = content.at("IssueDate")
    if issued is not None and (when := issued.at("V")) is not None:
        file["creation"] = _timed(when)
    if not file.keys() & {"data", "url"}:
        raise Refused(Reason.FORMAT, "an attachment without content", content.path)
    content.use("MsgType")
    if _is_attachment(document):
        document.use("DocumentConnection")
    more = [*kept(document, "Document", but=("RefDoc",)), *kept(content, "RefDoc", but=("Content", "MsgType"))]
    return {
        "resourceType": made("DocumentReference", "attachment-of-the-message"),
        **({"extension": more} if more else {}),
        "status": made("current", "attachment-of-the-message"),
        "content": [{"attachment": file}],
    }


def _is_attachment(document: Cursor) -> bool:
    """Tell whether a document is said to be no more than an attachment of the first."""
    said = [(document.text("DocumentConnection", name) or "").strip().lower() for name in ("V", "DN")]
    return said == ["v", "vedlegg"]


def _document(
    composition: dict[str, Tree], attached: list[dict[str, Tree]], seed: str, settings: Settings
) -> dict[str, Tree]:
    rule = "document-of-a-note-with-files"
    files = [new_entry(seed, f"attachment {index}", one, rule) for index, one in enumerate(attached)]
    section: Tree = {"title": "Vedlegg", "entry": [{"reference": one.link} for one in files]}
    sections = composition["section"]
    whole = {**composition, "section": [*(sections if isinstance(sections, list) else []), made(section, rule)]}
    identifier = plain(whole.pop("identifier"))
    known: dict[str, Tree] = dict(identifier) if isinstance(identifier, dict) else {}
    url = new_url(seed, "composition")
    entries = [Entry(url, made(url, rule), whole), *files]
    return {
        "resourceType": made("Bundle", rule),
        "identifier": made(
            {"system": UUID_SYSTEM, **known}
            if "system" in known
            else {"system": UUID_SYSTEM, "value": new_url(seed, "message")},
            rule,
        ),
        "type": made("document", rule),
        "timestamp": made(instant(plain(composition["date"]), settings), rule),
        "entry": [{"fullUrl": one.url, "resource": one.resource} for one in entries],
    }
