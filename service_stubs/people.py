"""Invented people for the doubles: as many as are asked for, each the same every time, with numbers of Tenor's synthetic series."""

from datetime import date, timedelta
from typing import Any

from service_stubs.national_numbers import FNR, number_for

LOCAL = "http://cosdoc.dips.no/lopenummer"
"""The identifier system of the record system's own numbers (VKP.Samples)."""
_DAYS = 30_000
_SERIALS = 5
"""Between two people born on the same day, so that no two get one number."""
_GIVEN = ("Line", "Magnar", "Astrid", "Oddvar", "Solveig", "Kåre", "Gunhild", "Bjørn", "Ragnhild", "Åse", "Torvald")
_FAMILY = (
    "Danser",
    "Solbakken",
    "Fjellvik",
    "Nordlie",
    "Havnes",
    "Bråten",
    "Øyen",
    "Moen",
    "Li",
    "Sæther",
    "Vik",
    "Ås",
)
_STREETS = ("Storgata", "Kirkeveien", "Fjordgata", "Skolebakken", "Elveveien")


def number_of(index: int) -> str:
    """Return the national number of one of the people; there are 1,000,000 at least."""
    born = date(1915, 1, 1) + timedelta(days=index * 7919 % _DAYS)
    return number_for(born, index // _DAYS * _SERIALS)


def person(index: int, *, local: bool = True) -> dict[str, Any]:
    """Return a Patient of FHIR R4; `local` says whether it has a number of the record system's own too."""
    born = date(1915, 1, 1) + timedelta(days=index * 7919 % _DAYS)
    given, family = _GIVEN[index % len(_GIVEN)], _FAMILY[index // len(_GIVEN) % len(_FAMILY)]
    identifiers = [{"use": "official", "system": FNR, "value": number_of(index)}]
    if local:
        identifiers.append({"use": "secondary", "system": LOCAL, "value": str(100_000 + index)})
    return {
        "resourceType": "Patient",
        "identifier": identifiers,
        "active": True,
        "name": [{"use": "official", "family": family, "given": [given]}],
        "telecom": [{"system": "phone", "value": f"{90_000_000 + index % 10_000_000:08d}", "use": "mobile"}],
        "gender": ("female", "male")[index % 2],
        "birthDate": born.isoformat(),
        "address": [
            {
                "use": "home",
                "line": [f"{_STREETS[index % len(_STREETS)]} {index % 150 + 1}"],
                "city": "Nordfjell",
                "postalCode": f"{6700 + index % 90}",
                "country": "NO",
            }
        ],
        "contact": [
            {
                "relationship": [
                    {"coding": [{"system": "http://terminology.hl7.org/CodeSystem/v2-0131", "code": "C"}]}
                ],
                "name": {"family": family, "given": [_GIVEN[(index + 3) % len(_GIVEN)]]},
                "telecom": [{"system": "phone", "value": f"{40_000_000 + index % 10_000_000:08d}"}],
            }
        ],
        "generalPractitioner": [
            {"identifier": {"system": "urn:oid:2.16.578.1.12.4.1.2", "value": f"{80_000 + index % 20}"}}
        ],
    }
