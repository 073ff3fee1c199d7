"""The searches of the demo: those of VKP's public sample client, in each mode that answers them."""

from dataclasses import replace

from gateway.cli.demo.scenarios import Scenario
from gateway.model import Information

_FORM = "application/x-www-form-urlencoded"
_NUMBER = "17834150018"
"""Of a patient of the doubles, of a synthetic series."""
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
_IN_RECORD = 3
"""Patients of the doubles with the service RT."""


def searches() -> list[Scenario]:
    """Return the searches, in the order they are sent."""
    return [
        *_seven("nordfjell", "Skyresponse_Alarm_Nordfjell"),
        *_seven("sorvik", "skyresponse-test"),
        *_seven("havnes", "Skyresponse_Alarm_Havnes"),
    ]


def _seven(municipality: str, sender: str) -> list[Scenario]:
    found = []
    for kind, information, parameter, more in _SAMPLE:
        path, form = f"{kind.lower()}/_search", f"{parameter}={_NUMBER}{more}"
        one = Scenario(f"search for {kind}", municipality, sender, information, path, form=form, content_type=_FORM)
        found.append(replace(one, kind=kind, patients=1))
    everybody = replace(found[0], name="list of patients", form="", content_type=None, patients=_IN_RECORD)
    return [*found, everybody]
