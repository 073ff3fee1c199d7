"""Some rounds of fuzzing with a fixed seed; `fuzzing.py` runs for as long as one likes."""

from tests.gateway.proxy import fuzzing


async def test_relay_stands_mutated_messages() -> None:
    """No round finds anything wrong, and requests of every fate were among them."""
    outcomes = await fuzzing.run(lambda rounds: rounds < 200, seed=20_261_122)
    assert all(outcomes[outcome] for outcome in ("passed", "bad-request", "no-answer", "sender-left")), outcomes
