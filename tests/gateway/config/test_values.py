"""Single values of routes.yaml."""

from copy import copy

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from gateway.config import values
from gateway.config.yaml_reader import Reader, default_node


@pytest.mark.parametrize(
    ("text", "count"),
    [("1B", 1), ("1kB", 1000), ("1MB", 1_000_000), ("1KiB", 1024), ("1.5MiB", 1_572_864), ("2 MB", 2_000_000)],
)
def test_sizes_are_in_bytes(text: str, count: int) -> None:
    """Decimal and binary units differ, and a space is allowed."""
    assert values.size(Reader("f"), default_node(text)) == count


@pytest.mark.parametrize("text", ["1", "1mb", "-1MB", "1GB", "MB", "0.1B", "9999999999999MB", "1MB extra"])
def test_other_sizes_are_refused(text: str) -> None:
    """A unit is never guessed."""
    reader = Reader("f")
    assert values.size(reader, default_node(text)) is None
    assert len(reader.problems) == 1


@pytest.mark.parametrize(
    ("text", "seconds"),
    [("250ms", 0.25), ("90s", 90), ("1.5m", 90), ("2h", 7200), ("14d", 1_209_600), ("10y", 315_360_000)],
)
def test_durations_are_in_seconds(text: str, seconds: float) -> None:
    """Every unit is read; a year has 365 days."""
    assert values.duration(Reader("f"), default_node(text)) == seconds


@pytest.mark.parametrize("text", ["14", "14 days", "1w", "0d", "-1d", "1D", "1mo", "9999999999d"])
def test_other_durations_are_refused(text: str) -> None:
    """A unit is never guessed."""
    reader = Reader("f")
    assert values.duration(reader, default_node(text)) is None
    assert len(reader.problems) == 1


@pytest.mark.parametrize("number", ["974760673", "312229544", "889640782"])
def test_check_digits_that_are_right(number: str) -> None:
    """Modulus 11 with the weights 3 2 7 6 5 4 3 2."""
    assert values.has_check_digit(number)


@settings(deadline=None)
@given(st.integers(0, 99_999_999))
def test_at_most_one_check_digit_is_right(stem: int) -> None:
    """A stem whose check digit would be 10 has none."""
    total = sum(weight * int(digit) for weight, digit in zip((3, 2, 7, 6, 5, 4, 3, 2), f"{stem:08d}", strict=True))
    right = [digit for digit in range(10) if values.has_check_digit(f"{stem:08d}{digit}")]
    assert right == [digit for digit in range(10) if (total + digit) % 11 == 0]


@pytest.mark.parametrize("name", ["127.0.0.1", "127.255.0.9", "::1", "localhost", "LocalHost"])
def test_loopback_is_this_machine(name: str) -> None:
    """All of 127.0.0.0/8, ::1 and the name."""
    assert values.is_loopback(name)


@pytest.mark.parametrize("name", ["0.0.0.0", "::", "128.0.0.1", "localhost.example", "127.0.0.1.example", ""])  # noqa: S104 # judged, not bound
def test_other_hosts_are_not_loopback(name: str) -> None:
    """A name that only begins like loopback is somebody else."""
    assert not values.is_loopback(name)


def test_a_password_in_a_url_is_not_repeated() -> None:
    """Problems go to terminals and logs."""
    reader = Reader("f")
    assert values.origin(reader, default_node("https://user:hemmelig@host.example")) is None
    assert "hemmelig" not in reader.problems[0].text


@pytest.mark.parametrize(
    "text", ["https://a.example:0", "https://a.example:99999", "https://a.example:x", "//a", "https://"]
)
def test_urls_that_name_no_server_are_refused(text: str) -> None:
    """A port must be one, and a host must be there."""
    reader = Reader("f")
    assert values.origin(reader, default_node(f'"{text}"')) is None
    assert len(reader.problems) == 1


@settings(deadline=None)
@given(st.text())
def test_readers_of_values_never_raise(text: str) -> None:
    """Whatever stands there, the answer is a value or one problem."""
    for read in (values.size, values.duration, values.rate, values.address, values.host, values.origin, values.orgnr):
        reader = Reader("f")
        node = copy(default_node("x"))
        node.value = text
        assert (read(reader, node) is None) == any("wrong check" not in one.text for one in reader.problems)
