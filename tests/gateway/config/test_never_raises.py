"""Whatever somebody writes into routes.yaml, the answer is a configuration or problems."""

from pathlib import Path

from hypothesis import example, given, settings
from hypothesis import strategies as st

from gateway.config.load import Loaded, load_text
from gateway.config.model import Severity

CASES = sorted((Path(__file__).parent / "cases").glob("*.case"))
TEXTS = [case.read_text(encoding="utf-8").split("----------\n")[0] for case in CASES]
PIECES = st.sampled_from(
    [
        "{",
        "}",
        "[",
        "]",
        ":",
        ": ",
        "- ",
        ", ",
        "\n",
        "  ",
        "null",
        "~",
        "''",
        "!x ",
        "&a ",
        "*a",
        "<<",
        "|\n",
        "?",
        "7",
        "{x}",
    ]
)


def _is_consistent(loaded: Loaded) -> None:
    """Check the promise of `Loaded` itself."""
    errors = [one for one in loaded.problems if one.severity is Severity.ERROR]
    assert (loaded.config is None) == (loaded.table is None) == bool(errors)
    assert list(loaded.problems) == sorted(loaded.problems, key=lambda one: one.place)
    assert all("\n" not in str(one) for one in loaded.problems)
    assert all(one.place.line >= 1 and one.place.column >= 1 for one in loaded.problems)


@settings(deadline=None)
@given(st.text())
@example("? {a: b}\n: c")
@example("!!set {a, b}")
@example("&a [*a]")
@example("--- a\n--- b")
@example("%YAML 9.9\n---\nversion: 1")
def test_any_text(text: str) -> None:
    """Arbitrary text ends in problems."""
    _is_consistent(load_text(text, "f"))


@settings(deadline=None)
@given(st.data())
def test_a_real_file_with_pieces_put_in_and_taken_out(data: st.DataObject) -> None:
    """Mutations of real files reach the readers and the rules, not only the YAML parser."""
    text = data.draw(st.sampled_from(TEXTS))
    for _ in range(data.draw(st.integers(1, 3))):
        start = data.draw(st.integers(0, len(text)))
        end = data.draw(st.integers(start, min(len(text), start + 12)))
        text = text[:start] + data.draw(PIECES) + text[end:]
    _is_consistent(load_text(text, "f"))


@settings(deadline=None)
@given(st.data())
def test_a_real_file_with_one_value_replaced(data: st.DataObject) -> None:
    """Every word of a file may be replaced by a value of any type."""
    text = data.draw(st.sampled_from(TEXTS))
    words = text.split(" ")
    place = data.draw(st.integers(0, len(words) - 1))
    words[place] = data.draw(
        st.sampled_from(["null", "[]", "{}", "7", "1.5", "true", "[a, {b: c}]", "{a: [b]}", '""', "{c}"])
    )
    _is_consistent(load_text(" ".join(words), "f"))
