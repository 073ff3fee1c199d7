"""What tests of the configuration share."""

from collections.abc import Callable
from itertools import product

import pytest

TYPES = ("medisinering", "varsel", "tilsyn", "notat", "maledata", "skjemabesvarelse")
"""The information types that routes of a large file name in turn."""

HEAD = """\
version: 1
helseid: {issuer: https://sts.example, client_id: gateway, key_file: var/key.json}
upstreams:
  vkp: {kind: vkp, url: https://vkp.example}
  jft: {kind: jft, write_url: https://write.example, read_url: https://read.example, status: test}
"""


def _orgnr(number: int) -> str:
    """Return the next organisation number from `number` times 20 on that has a right check digit."""
    for stem in range(30_000_000 + number * 20, 30_000_020 + number * 20):
        total = sum(weight * int(digit) for weight, digit in zip((3, 2, 7, 6, 5, 4, 3, 2), str(stem), strict=True))
        if total % 11 != 1:
            return f"{stem}{(11 - total % 11) % 11}"
    raise AssertionError("every stem would need the check digit 10")


def _municipality(number: int) -> str:
    return (
        f"  kommune-{number}:\n"
        f"    name: Kommune {number}\n"
        f'    orgnr: "{_orgnr(number)}"\n'
        f'    her_ids: ["{100000 + number}"]\n'
        "    epj: {system: Gerica, generation: legacy, reads: [jft], feeds: [pit]}\n"
    )


def _vendor(number: int, municipalities: int) -> str:
    senders = "".join(
        f"          - {{vkp_id: V{number}_{one}, municipality: kommune-{one}, service_codes: [MD, RT]}}\n"
        for one in range(municipalities)
    )
    return (
        f"  vendor-{number}:\n    name: Vendor {number}\n    systems:\n"
        f"      system:\n        name: System\n        senders:\n{senders}"
    )


def large_text(municipalities: int, vendors: int) -> str:
    """Return a sound routes.yaml with a sender for every municipality and vendor, and four routes a municipality."""
    routes = "".join(
        f"  - {{municipality: kommune-{one}, vendor: vendor-{(one + step) % vendors}, "
        f"information: [{TYPES[(one + step) % len(TYPES)]}], mode: new}}\n"
        for one, step in product(range(municipalities), range(4))
    )
    parts = ["municipalities:\n", *map(_municipality, range(municipalities)), "vendors:\n"]
    parts += [_vendor(number, municipalities) for number in range(vendors)]
    return HEAD + "".join([*parts, "routes:\n  - {mode: legacy}\n", routes])


@pytest.fixture(scope="session")
def large() -> Callable[[int, int], str]:
    """Make the text of a file with so many municipalities and vendors."""
    return large_text
