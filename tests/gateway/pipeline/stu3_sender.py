"""A sender of the STU3 interface, and what it reads in its own wire form."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from gateway.surfaces.vkp_stu3 import message as stu3_wire
from tests.gateway.world import OUTCOME_CODES, stu3_message

if TYPE_CHECKING:
    from tests.gateway.wire import Answer
    from tests.gateway.world import World


NORDFJELL_HER, SORVIK_HER, HAVNES_HER, SENDER = "102287", "95938", "85441", "99001"


FORMS = ["xml", "json"]
PATIENT = b"05894910005"


def body_of(file: str, receiver: str = HAVNES_HER, sender: str = SENDER) -> bytes:
    """Return a message of the demo with other parties."""
    return stu3_message(file).replace(b"85441", receiver.encode()).replace(b"135240", sender.encode())


async def post(
    world: World, body: bytes, receiver: str = HAVNES_HER, resource: str = "bundle", **options: Any
) -> Answer:
    """Send to the STU3 interface, with a good token unless another is given."""
    options = {"token": world.token(vkp_id=None, her_id=SENDER), **options}
    return await world.post(f"/epj/stu3/{receiver}/{resource}", body, **options)


def read(answer: Answer, form: str) -> tuple[dict[str, Any], dict[str, Any] | None]:
    """Return an answer's outcome and its header, None where it is an outcome alone."""
    assert answer.values("Content-Type") == [f"application/fhir+{form}; charset=utf-8"]
    assert stu3_wire.form_of(answer.body) == form
    tree: Any = stu3_wire.decode(answer.body)[0]
    if tree["resourceType"] != "Bundle":
        return tree, None
    header, *others = (entry["resource"] for entry in tree["entry"])
    return (others[0] if others else {}), header


def assert_refused(  # noqa: PLR0917 - read as a table: status, code, form, response
    world: World, answer: Answer, status: int, code: str, form: str, response: str | None
) -> str:
    """Check all that holds for a refusal; return its diagnostics."""
    outcome, header = read(answer, form)
    assert (answer.status, header and header["response"]["code"]) == (status, response), answer.body
    assert outcome["resourceType"] == "OperationOutcome"
    (issue,) = outcome["issue"]
    (coding,) = issue["details"]["coding"]
    assert (coding["system"], coding["code"]) == (OUTCOME_CODES, code), issue
    assert issue["details"]["text"].strip()
    assert not world.delivered
    assert not world.vkp.received
    assert not world.named_messages("accepted")
    world.assert_discreet(answer)
    return str(issue["diagnostics"])
