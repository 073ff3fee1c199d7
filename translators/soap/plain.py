"""Answers of Innhenting in plain XML as FHIR's resources, as far as they go: for comparing two of them by FHIR's names."""

from collections.abc import Callable

from lxml import etree

from translators.contract import Reason, Refused, Tree
from translators.patient import SYSTEM_OF
from translators.soap.envelope import opened

_Fields = dict[str, Tree]
_ANSWERS = ("HentPasientinformasjonResponse", "HentTjenesterResponse", "HentBesoksplanResponse")
_YES, _NO = ("true", "1"), ("false", "0")


def resources_of(data: bytes) -> _Fields:
    """Return what an envelope answers as a searchset, or the outcome that a fault tells; raises `Refused`."""
    body = opened(data).body
    if etree.QName(body).localname == "Fault":
        code = next((found.text for found in body.iter("{*}ErrorCode")), None)
        return {"resourceType": "OperationOutcome", "issue": [{"details": {"coding": [_filled(code=code)]}}]}
    if etree.QName(body).localname not in _ANSWERS:
        raise Refused(Reason.FORMAT, "no answer of Innhenting")
    entries: list[Tree] = []
    for element in body.iterchildren("{*}*"):
        read = _KINDS.get(etree.QName(element).localname)
        resource: _Fields = read(element) if read is not None else {"resourceType": "Basic"}
        if label := _of(element, "Konfidensialitet"):
            resource["meta"] = {"security": [{"code": label}]}
        entries.append({"resource": resource})
    return {"resourceType": "Bundle", "type": "searchset", "entry": entries}


def _patient(at: etree._Element) -> _Fields:
    numbers: list[Tree] = [_identifier(one) for one in at.iterchildren("{*}Identifikator")]
    numbers += [_filled(system=_of(one, "System"), value=_of(one, "Id")) for one in at.iterchildren("{*}LokaltNummer")]
    given: list[Tree] = [one for one in (_of(at, "Fornavn"), _of(at, "Mellomnavn")) if one]
    addresses: list[Tree] = [
        _filled(line=_all(one, "Linje"), postalCode=_of(one, "Postnummer"), city=_of(one, "Poststed"))
        for one in at.iterchildren("{*}Adresse")
    ]
    contacts: list[Tree] = [
        _filled(
            name=_filled(text=_of(one, "Navn")), relationship=[_filled(text=_of(one, "Relasjon"))], telecom=_phones(one)
        )
        for one in at.iterchildren("{*}Kontakt")
    ]
    return _filled(
        resourceType="Patient",
        identifier=numbers,
        name=[_filled(given=given, family=_of(at, "Etternavn"), text=_of(at, "Navn"))],
        birthDate=_of(at, "Fodselsdato"),
        gender=_of(at, "Kjonn"),
        telecom=_phones(at),
        address=addresses,
        contact=contacts,
        active=False if _of(at, "Aktiv") in _NO else None,
        deceasedDateTime=(died := _of(at, "Dodsdato")),
        deceasedBoolean=True if died is None and _of(at, "Dod") in _YES else None,
        extension=[{"url": name, "valueString": text} for name in ("Sone", "Husholdning") if (text := _of(at, name))],
    )


def _service(at: etree._Element) -> _Fields:
    coding = _filled(system=_of(at, "Kodeverk"), code=_of(at, "Kode"), display=_of(at, "Navn"))
    return _filled(
        resourceType="EpisodeOfCare",
        status=_of(at, "Status"),
        type=[{"coding": [coding]}],
        patient={"identifier": _of_patient(at)},
        period=_filled(start=_of(at, "Fra"), end=_of(at, "Til")),
        managingOrganization=_filled(display=_of(at, "Sted")),
        extension=[{"url": "Omfang", "valueString": text}] if (text := _of(at, "Omfang")) else [],
    )


def _visit(at: etree._Element) -> _Fields:
    period = _filled(start=_of(at, "Start"), end=_of(at, "Slutt"))
    detail = _filled(status=_of(at, "Status"), description=_of(at, "Beskrivelse"), scheduledPeriod=period)
    return _filled(
        resourceType="CarePlan",
        title=_of(at, "Tittel"),
        subject={"identifier": _of_patient(at)},
        period=period,
        activity=[{"detail": detail}],
    )


_KINDS: dict[str, Callable[[etree._Element], _Fields]] = {"Pasient": _patient, "Tjeneste": _service, "Besok": _visit}


def _of_patient(at: etree._Element) -> Tree:
    found = at.find("{*}Pasient")
    return _identifier(found) if found is not None else {}


def _identifier(at: etree._Element) -> _Fields:
    return _filled(system=SYSTEM_OF.get(_of(at, "Type") or ""), value=_of(at, "Id"))


def _phones(at: etree._Element) -> list[Tree]:
    return [{"value": one} for one in _all(at, "Telefon")]


def _all(at: etree._Element, name: str) -> list[Tree]:
    return [text for one in at.iterchildren(f"{{*}}{name}") if (text := (one.text or "").strip())]


def _of(at: etree._Element, name: str) -> str | None:
    return (at.findtext(f"{{*}}{name}") or "").strip() or None


def _filled(**fields: Tree) -> _Fields:
    return {name: value for name, value in fields.items() if value not in (None, [], {}, [{}])}
