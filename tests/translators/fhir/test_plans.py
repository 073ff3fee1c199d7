"""Plans are made type by type: few for one message, all before a gateway serves."""

from tests.gateway.world import message
from translators import translate
from translators.fhir import quick_check, rules, structure_plan
from translators.fhir.conform import conform
from translators.fhir.elements import r4
from translators.fhir.json_codec import decode
from translators.fhir.plan import _Planner, from_stu3, within_r4
from translators.source import Source

FEW = 60
"""Of more than 600 types."""


def test_one_message_needs_the_plans_of_few_types() -> None:
    """So that a command on one message begins quickly."""
    plan = _Planner(r4(), rules.r4(), None).plan()
    conform(Source(decode(message("note")), "Composition").root, plan)
    assert 0 < len(plan.types) < FEW
    plan.complete()
    assert plan.types.keys() == within_r4().release.types.keys()


def test_one_check_needs_the_functions_of_few_types() -> None:
    """The same of what tells a right message."""
    structure_plan.rows.cache_clear()
    quick_check._types.cache_clear()
    assert quick_check.is_right(decode(message("note")))  # type: ignore[arg-type] # an object
    made = [one for one in quick_check._types().values() if one._made is not None]
    assert 0 < len(made) < FEW


def test_a_gateway_that_is_prepared_makes_nothing_more() -> None:
    """No message waits for a plan."""
    translate.prepare()
    assert all(one._made is not None for one in quick_check._types().values())
    assert all(one._steps is not None for one in structure_plan.rows().values())
    for plan in (within_r4(), from_stu3()):
        before = len(plan.types)
        plan.complete()
        assert len(plan.types) == before > FEW
