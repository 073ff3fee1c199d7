"""Plans are made type by type: few for one message, and before a gateway serves those that messages mostly need."""

from collections.abc import Iterator

import pytest

from tests.gateway.world import message
from translators import translate
from translators.contract import Settings
from translators.fhir import quick_check, rules, structure_plan
from translators.fhir.conform import conform
from translators.fhir.elements import r4
from translators.fhir.json_codec import decode
from translators.fhir.plan import _Planner, complete, from_stu3, within_r4
from translators.jft import SERVICE
from translators.national_number import TEST_KINDS
from translators.source import Source

FEW = 60
"""Of more than 600 types."""
SETTINGS = Settings(frozenset(TEST_KINDS))


@pytest.fixture
def fresh() -> Iterator[None]:
    """Have nothing made yet, and afterwards all of it again: other tests go through it."""
    for cached in (structure_plan.rows, quick_check._types, within_r4, from_stu3):
        cached.cache_clear()
    yield
    complete(within_r4())
    complete(from_stu3())


def test_one_message_needs_the_plans_of_few_types() -> None:
    """So that a command on one message begins quickly."""
    plan = _Planner(r4(), rules.r4(), None).plan()
    conform(Source(decode(message("note")), "Composition").root, plan)
    assert 0 < len(plan.types) < FEW
    complete(plan)
    assert plan.types.keys() == within_r4().release.types.keys()


@pytest.mark.usefixtures("fresh")
def test_one_check_needs_the_functions_of_few_types() -> None:
    """The same of what tells a right message."""
    assert quick_check.is_right(decode(message("note")))  # type: ignore[arg-type] # an object
    made = [one for one in quick_check._types().values() if one._made is not None]
    assert 0 < len(made) < FEW


@pytest.mark.usefixtures("fresh")
def test_a_gateway_that_is_prepared_makes_nothing_more_for_messages_like_the_examples() -> None:
    """None of them waits for what it needs, and little is kept for what may never come."""
    translate.prepare()
    before = _made()
    assert all(0 < count < FEW for count in before)
    for name in ("note", "dispensed", "measurement", "quirks"):
        translate.translate(decode(message(name)), "vkp-r4", SERVICE, SETTINGS)
    assert _made() == before


def _made() -> tuple[int, ...]:
    """Return how many types have what checking, repairing and converting need."""
    functions = [one for one in quick_check._types().values() if one._made is not None]
    return len(functions), len(within_r4().types), len(from_stu3().types)
