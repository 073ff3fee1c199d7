"""National identity numbers: form, date and check digits, beside a second opinion from python-stdnum."""

import pytest
from hypothesis import assume, given
from hypothesis import strategies as st
from stdnum.no import fodselsnummer

from translators.national_number import PRODUCTION_KINDS, TEST_KINDS, Kind, kind_of

WEIGHTS_1 = (3, 7, 6, 1, 8, 9, 4, 5, 2)
WEIGHTS_2 = (5, 4, 3, 2, 7, 6, 5, 4, 3, 2)


def _sum(weights: tuple[int, ...], digits: str) -> int:
    return sum(weight * int(digit) for weight, digit in zip(weights, digits, strict=True))


def _complete(nine: str, remainder: int = 0) -> str | None:
    """Return the number with its check digits, the first one such that it leaves `remainder`; None where none fits."""
    first = (remainder - _sum(WEIGHTS_1, nine)) % 11
    second = -_sum(WEIGHTS_2, f"{nine}{first}") % 11 if first < 10 else 10
    return f"{nine}{first}{second}" if second < 10 else None


@pytest.mark.parametrize(
    ("number", "kind"),
    [
        ("01020310045", Kind.ORDINARY),
        ("41019010110", Kind.ORDINARY),
        ("81234510053", Kind.FH),
        ("12834010060", Kind.PLUS_80),
        ("05894910005", Kind.PLUS_80),
        ("30714510106", Kind.PLUS_65),
        ("30714510343", Kind.PLUS_65),
        ("01813210084", Kind.PLUS_80),
        ("01813210165", Kind.PLUS_80),
    ],
)
def test_the_form_tells_the_kind(number: str, kind: Kind) -> None:
    """Ordinary, D-, FH- and synthetic numbers are told apart; a D-number is of the kind that its month says."""
    assert kind_of(number) is kind


@pytest.mark.parametrize(
    ("added", "kind"), [(0, Kind.ORDINARY), (40, Kind.PLUS_40), (65, Kind.PLUS_65), (80, Kind.PLUS_80)]
)
@pytest.mark.parametrize("day", [1, 31, 41, 71])
@pytest.mark.parametrize("month", [1, 12])
def test_the_month_tells_the_kind_for_ordinary_and_d_numbers(added: int, kind: Kind, day: int, month: int) -> None:
    """The first and last day and month of each series count, and those of D-numbers (day + 40) too."""
    numbers = [_complete(f"{day:02}{month + added:02}9{one:04}") for one in range(20)]
    assert {kind_of(number) for number in numbers if number} == {kind}


@pytest.mark.parametrize("month", [0, 13, 40, 53, 65 - 1, 78, 80, 93, 99])
def test_a_month_of_no_series_is_refused(month: int) -> None:
    """Right check digits do not make a month."""
    numbers = [_complete(f"01{month:02}9{one:04}") for one in range(20)]
    assert {kind_of(number) for number in numbers if number} == {None}


@pytest.mark.parametrize("day", [0, 32, 40, 72, 79])
def test_a_day_of_no_calendar_is_refused(day: int) -> None:
    """Neither a day nor a day of a D-number."""
    numbers = [_complete(f"{day:02}019{one:04}") for one in range(20)]
    assert {kind_of(number) for number in numbers if number} == {None}


@pytest.mark.parametrize(
    ("date", "is_right"), [("280283", True), ("290283", False), ("290284", True), ("290200", True)]
)
@pytest.mark.parametrize("added", [0, 40, 65, 80])
@pytest.mark.parametrize("of_d_number", [0, 40])
def test_a_day_is_one_of_its_month(date: str, added: int, of_d_number: int, is_right: bool) -> None:
    """29 February only where four divides the year, in every series and for D-numbers too."""
    day, month, year = int(date[:2]) + of_d_number, int(date[2:4]) + added, date[4:]
    numbers = [_complete(f"{day:02}{month:02}{year}{one:03}") for one in range(100, 120)]
    assert {kind_of(number) is not None for number in numbers if number} == {is_right}


@pytest.mark.parametrize("date", ["3002", "3102", "3104", "3106", "3109", "3111", "7002", "3042", "3067", "3082"])
def test_a_day_that_its_month_does_not_have_is_refused(date: str) -> None:
    """30 February is no date of birth, whatever the check digits."""
    numbers = [_complete(f"{date}{year:02}{one:03}") for year in (0, 84) for one in range(100, 120)]
    assert {kind_of(number) for number in numbers if number} == {None}


@pytest.mark.parametrize("first", "89")
def test_an_fh_number_has_no_date(first: str) -> None:
    """After the first digit 8 or 9 nothing but the check digits counts."""
    numbers = [_complete(f"{first}99999{one:03}") for one in range(20)]
    assert {kind_of(number) for number in numbers if number} == {Kind.FH}


@pytest.mark.parametrize(
    "text",
    [
        "",
        "1283401006",
        "128340100600",
        "12834 10060",
        " 12834010060",
        "1283401006x",
        "-2834010060",
        "١٢٨٣٤٠١٠٠٦٠",
        "1²834010060",
    ],
)
def test_what_is_not_eleven_plain_digits_is_no_number(text: str) -> None:
    """Blanks, signs and digits of other scripts do not count as digits."""
    assert kind_of(text) is None


@pytest.mark.fact("numbers-2032")
@given(st.from_regex(r"[0-7][0-9]{8}", fullmatch=True), st.integers(0, 10))
def test_the_first_check_digit_takes_four_remainders_since_2032(nine: str, remainder: int) -> None:
    """Of the eleven remainders exactly 0, 1, 2 and 3 are right; the second check digit has one."""
    number = _complete(nine, remainder)
    base = next((right for other in range(4) if (right := _complete(nine, other))), None)
    assume(number is not None and base is not None and kind_of(base) is not None)
    assert number is not None
    assert (kind_of(number) is not None) == (remainder in (0, 1, 2, 3))


@given(st.from_regex(r"[0-9]{10}", fullmatch=True))
def test_only_one_last_digit_is_right(ten: str) -> None:
    """The second check digit catches every error in the last place."""
    found = [last for last in "0123456789" if kind_of(ten + last)]
    assert len(found) <= 1


@given(
    st.sampled_from(["12834010060", "01020310045", "41019010110", "30714510343"]), st.integers(0, 10), st.integers(1, 9)
)
def test_one_wrong_digit_is_never_right(number: str, place: int, step: int) -> None:
    """A number with a typing error is refused, whichever digit it is."""
    wrong = (int(number[place]) + step) % 10
    assert kind_of(f"{number[:place]}{wrong}{number[place + 1 :]}") is None


@given(st.integers(1, 31), st.integers(1, 12), st.integers(0, 99), st.integers(0, 999), st.booleans())
def test_what_stdnum_takes_we_take(day: int, month: int, year: int, individual: int, is_d_number: bool) -> None:
    """Every ordinary and D-number that python-stdnum finds valid is of the ordinary kind here.

    Not the other way round: stdnum also asks whether the date is in the past and of a century that the individual digits
    allow, and it does not know the remainders of 2032. We check form, and leave existence to the register.
    """
    number = _complete(f"{day + 40 * is_d_number:02}{month:02}{year:02}{individual:03}")
    longest = [31, 28 if year % 4 else 29, 31, 30, 31, 30, 31, 31, 30, 31, 30, 31][month - 1]
    assume(number is not None and day <= longest)
    assert number is not None
    if fodselsnummer.is_valid(number):
        assert kind_of(number) is Kind.ORDINARY
    assert kind_of(number) is Kind.ORDINARY


@given(st.from_regex(r"[0-7][0-9]{10}", fullmatch=True))
def test_what_stdnum_takes_of_any_digits_we_take(number: str) -> None:
    """A number drawn without any plan: if stdnum takes it, then so do we."""
    if fodselsnummer.is_valid(number):
        assert kind_of(number) in (Kind.ORDINARY, Kind.PLUS_40)


@pytest.mark.fact("jft-numbers")
def test_no_synthetic_number_of_the_state_is_for_production_and_no_real_one_for_test() -> None:
    """Month + 40 alone is in both: an H-number of a hospital, or synthetic."""
    assert sorted(PRODUCTION_KINDS) == [Kind.ORDINARY]
    assert sorted(TEST_KINDS) == [Kind.PLUS_40, Kind.PLUS_65, Kind.PLUS_80]
