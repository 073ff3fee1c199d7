"""What is told of small messages beside large ones."""

from bench.large import Turn, Turns, found

_READ, _TRANSLATED = "beside large ones that are read", "beside large ones that are translated"


def _turn(streamed: float, translated: float, large: float | None = None) -> Turn:
    return Turn({"streamed": 1.0, "translated": 2.0}, {"streamed": streamed, "translated": translated}, large)


_TURNS: Turns = {
    "alone": [_turn(2.0, 10.0), _turn(4.0, 20.0), _turn(2.0, 10.0)],
    _READ: [_turn(2.0, 11.0, 30.0), _turn(6.0, 30.0, 40.0), _turn(3.2, 15.0, 50.0)],
    _TRANSLATED: [_turn(3.0, 16.0, 80.0), _turn(8.0, 30.0, 90.0), _turn(2.0, 17.0, 100.0)],
}


def test_each_kind_beside_each_is_judged_by_its_ratio_in_the_same_round() -> None:
    """A round in which everything was slow says nothing against it; the middle round decides."""
    goals = found(_TURNS).goals
    assert [(goal.what, goal.measured, goal.reached) for goal in goals] == [
        (f"p99 of small messages, streamed, {_READ}", "1.50 (1.00 to 1.60)", True),
        (f"p99 of small messages, translated, {_READ}", "1.50 (1.10 to 1.50)", True),
        (f"p99 of small messages, streamed, {_TRANSLATED}", "1.50 (1.00 to 2.00)", True),
        (f"p99 of small messages, translated, {_TRANSLATED}", "1.60 (1.50 to 1.70)", False),
    ]


def test_table_has_a_row_for_each_kind_beside_each_with_what_large_ones_took() -> None:
    """Alone there is no ratio, and no large one."""
    (table,) = found(_TURNS).tables
    assert [row[0] for row in table.rows] == [
        f"{kind}, {beside}" for kind in ("streamed", "translated") for beside in _TURNS
    ]
    assert table.rows[0][3:] == ("-", "-")
    assert table.rows[1][1:] == ("1.00", "3.20 (2.00 to 6.00)", "1.50 (1.00 to 1.60)", "40")
