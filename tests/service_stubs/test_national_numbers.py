"""National numbers are recognised by their check digits and told apart by their month."""

from datetime import date

import pytest
from hypothesis import given
from hypothesis import strategies as st
from stdnum.no import fodselsnummer

from service_stubs.national_numbers import Kind, complete, has_valid_check_digits, kind_of, number_for

BORN = date(1951, 7, 23)


@given(st.from_regex(r"[0-4][0-9](0[1-9]|1[0-2])[0-9]{7}", fullmatch=True))
def test_classic_check_digits_agree_with_an_independent_library(number: str) -> None:
    """Whatever python-stdnum accepts passes here too; only the rule of 2032 accepts more."""
    try:
        classic = fodselsnummer.calc_check_digit1(number) + fodselsnummer.calc_check_digit2(number) == number[9:]
    except ValueError:
        classic = False
    assert has_valid_check_digits(number) or not classic


@pytest.mark.parametrize("remainder", [0, 1, 2, 3])
def test_first_check_digit_accepts_remainders_0_to_3(remainder: int) -> None:
    """Skatteetaten, "Nytt fødselsnummer 2032": four remainders are right, so numbers do not run out."""
    weights = (3, 7, 6, 1, 8, 9, 4, 5, 2, 1)
    second = (5, 4, 3, 2, 7, 6, 5, 4, 3, 2, 1)
    numbers = (f"238751{serial:05d}" for serial in range(100_000))
    number = next(
        candidate
        for candidate in numbers
        if sum(int(d) * w for d, w in zip(candidate, weights, strict=False)) % 11 == remainder
        and sum(int(d) * w for d, w in zip(candidate, second, strict=True)) % 11 == 0
    )
    assert kind_of(number) is Kind.SYNTHETIC


@pytest.mark.parametrize(
    "number", ["", "1", "abcdefghijk", "12345678901", "1234567890²", "١٢٣٤٥٦٧٨٩٠١", " 23875150010"]
)
def test_other_text_is_no_number(number: str) -> None:
    """Only eleven ASCII digits with right check digits are a number."""
    assert kind_of(number) is None


@given(st.integers(0, 10), st.integers(1, 9))
def test_one_wrong_digit_is_noticed_unless_it_is_the_first_check_digit(place: int, change: int) -> None:
    """Modulus 11 finds every single wrong digit by its second check digit."""
    number = number_for(BORN, 500)
    digit = (int(number[place]) + change) % 10
    assert not has_valid_check_digits(f"{number[:place]}{digit}{number[place + 1 :]}")


@pytest.mark.parametrize(
    ("offset", "kind"), [(0, Kind.REAL), (40, Kind.SYNTHETIC), (65, Kind.SYNTHETIC), (80, Kind.SYNTHETIC)]
)
def test_month_tells_the_kind(offset: int, kind: Kind) -> None:
    """The three synthetic series add 40, 65 or 80 to the month."""
    assert kind_of(number_for(BORN, 500, offset)) is kind


@pytest.mark.parametrize(
    ("day_and_month", "kind"),
    [("4187", Kind.SYNTHETIC), ("4107", Kind.REAL), ("3287", None), ("0013", None), ("0199", None)],
)
def test_day_and_month_must_exist(day_and_month: str, kind: Kind | None) -> None:
    """A D-nummer adds 40 to the day; other days and months outside the series are nobody's."""
    for serial in range(500, 600):
        try:
            number = complete(f"{day_and_month}51{serial}")
        except ValueError:
            continue
        assert kind_of(number) is kind


def test_nine_digits_without_check_digits_are_refused() -> None:
    """One in eleven combinations has no first check digit."""
    outcomes = set()
    for serial in range(500, 540):
        try:
            outcomes.add(len(complete(f"238751{serial}")))
        except ValueError:
            outcomes.add(0)
    assert outcomes == {0, 11}
    with pytest.raises(ValueError, match="no serial number left"):
        number_for(BORN, 1000)
