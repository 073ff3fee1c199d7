"""The searches of the demo: those of VKP's public sample client, in each mode that answers them, and whom the services know."""

from dataclasses import replace
from typing import Any

import aiohttp

from gateway.cli.demo.scenarios import Scenario
from gateway.config.model import Config
from gateway.config.upstreams import OktUpstream, PitUpstream
from gateway.model import Information
from gateway.surfaces.soap import surface as vkp_soap
from gateway.surfaces.vkp_stu3 import surface as vkp_stu3
from translators.soap.envelope import SOAP_1_1
from translators.soap.schema import RETRIEVAL

_FORM = "application/x-www-form-urlencoded"
_NUMBER, _OTHER = "17834150018", "02763850091"
"""Two patients of the doubles, of synthetic series; VKP's record has them with TA and with MD."""
_DATES = "&date=ge2024-05-17T07:08:09Z&date=le2026-12-24T09:08:07Z"
_SAMPLE = (
    ("Patient", Information.PASIENTINFO, "identifier", ""),
    ("EpisodeOfCare", Information.TJENESTER, "patient.identifier", ""),
    ("CarePlan", Information.BESOKSPLAN, "patient.identifier", _DATES),
    ("Composition", Information.TILTAKSPLAN, "patient.identifier", _DATES),
    ("Condition", Information.DIAGNOSER, "patient.identifier", ""),
    ("AllergyIntolerance", Information.ALLERGIER, "identifier", ""),
    ("MedicationStatement", Information.LEGEMIDLER, "patient.identifier", ""),
)
_FEEDING = ("nordfjell", "havnes")
_MANY = 60
"""Patients whom PIT has beside: more than a page."""


def searches() -> list[Scenario]:
    """Return the searches, in the order they are sent."""
    return [
        *_seven("nordfjell", "Skyresponse_Alarm_Nordfjell"),
        *_seven("sorvik", "skyresponse-test"),
        *_seven("havnes", "Skyresponse_Alarm_Havnes"),
        # A canary takes over all of this sender's patients, and leaves its lists.
        *_seven("nordfjell", "Dignio_Prevent_Nordfjell", _OTHER, "md")[:1],
        *_seven("nordfjell", "Dignio_Prevent_Nordfjell", _OTHER, "md")[-1:],
        *_over_stu3("sorvik", "135244"),
        *_over_stu3("havnes", "135240"),
        *_over_soap("sorvik", "313231593", "Dignio_Prevent_Sorvik"),
        *_over_soap("havnes", "315058384", "Dignio_Prevent_Havnes"),
    ]


def _over_stu3(municipality: str, sender: str) -> list[Scenario]:
    """Without service codes, which no STU3 sender is refused for: those of the sender are meant."""
    found = []
    for kind, information, form in (
        ("Patient", Information.PASIENTINFO, f"identifier={_OTHER}"),
        ("EpisodeOfCare", Information.TJENESTER, f"type.text=MD&patient={_OTHER}"),
    ):
        path = f"{kind.lower()}/_search"
        one = Scenario(f"search for {kind}", municipality, sender, information, path, form=form, content_type=_FORM)
        one = replace(one, prefix="/epj/stu3", surface=vkp_stu3.NAME, kind=kind, codes="", patients=1)
        found.append(one)
    return found


def _over_soap(municipality: str, orgnr: str, sender: str) -> list[Scenario]:
    """Plain XML, with the patient and the municipality in the body."""
    found = []
    for name, kind, information in (
        ("HentPasientinformasjon", "Patient", Information.PASIENTINFO),
        ("HentTjenester", "EpisodeOfCare", Information.TJENESTER),
    ):
        patient = f"<Pasient><Id>{_OTHER}</Id><Type>FNR</Type></Pasient>"
        asked = f'<{name} xmlns="{RETRIEVAL}"><Mottaker><Orgnr>{orgnr}</Orgnr></Mottaker>{patient}</{name}>'
        body = f'<s:Envelope xmlns:s="{SOAP_1_1}"><s:Body>{asked}</s:Body></s:Envelope>'
        one = Scenario(name, municipality, sender, information, "Innhenting", form=body, content_type="text/xml")
        one = replace(one, prefix="/ws/v1", surface=vkp_soap.NAME, kind=kind, codes="", patients=1, names_in_path=False)
        found.append(one)
    return found


def _seven(municipality: str, sender: str, number: str = _NUMBER, codes: str = "ta") -> list[Scenario]:
    found = []
    for kind, information, parameter, more in _SAMPLE:
        path, form = f"{kind.lower()}/_search", f"{parameter}={number}{more}"
        one = Scenario(f"search for {kind}", municipality, sender, information, path, form=form, content_type=_FORM)
        found.append(replace(one, kind=kind, patients=1, codes=codes))
    return [*found, replace(found[0], name="list of patients", form="", content_type=None)]


async def fill(config: Config) -> None:
    """Tell the doubles of PIT and OKT who lives in the municipalities that feed them, and who has which service."""
    urls = {one.KIND: one.url for one in config.upstreams.values() if isinstance(one, PitUpstream | OktUpstream)}
    async with aiohttp.ClientSession() as session:
        for name in _FEEDING:
            orgnr, feeds = config.municipalities[name].orgnr, config.municipalities[name].epj.feeds
            if PitUpstream.KIND in feeds and PitUpstream.KIND in urls:
                await _post(session, f"{urls['pit']}/stub/fill", {"orgnr": orgnr, "count": _MANY})
                for resource in _PEOPLE:
                    await _post(session, f"{urls['pit']}/stub/patients", {"orgnr": orgnr, "resource": resource})
            for number, iplos in ((_NUMBER, "06"), (_OTHER, "27")) if OktUpstream.KIND in urls else ():
                messages = [{"startDate": "2025-09-01", "iplosCode": {"iplosCodeValue": iplos}}]
                event = {"orgnr": orgnr, "personIdentifier": number, "oktMessages": messages}
                await _post(session, f"{urls['okt']}/stub/services", event)


async def _post(session: aiohttp.ClientSession, url: str, body: dict[str, Any]) -> None:
    async with session.post(url, json=body) as response:
        response.raise_for_status()


def _person(number: str, given: str, family: str, born: str, city: str, **more: Any) -> dict[str, Any]:
    system = "urn:oid:2.16.578.1.12.4.1.4.1"
    return {
        "resourceType": "Patient",
        "id": f"patient-{number[-5:]}",
        "identifier": [{"system": system, "value": number}],
        "name": [{"family": family, "given": [given]}],
        "birthDate": born,
        "address": [{"use": "home", "line": ["Prøveveien 1"], "city": city, "postalCode": "0000"}],
        **more,
    }


_PEOPLE = (
    _person(_NUMBER, "Solveig", "Fiktiv", "1941-03-17", "Ny-Testvik", gender="female"),
    _person(_OTHER, "Torbjørn", "Oppdiktet", "1938-11-02", "Testvik"),
)
"""Whom VKP's record has too: there Solveig lives in another place, and Torbjørn has a gender."""
