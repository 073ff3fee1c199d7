"""JSON in and out: what is not exactly one well-formed value is refused, what is, is kept to the letter."""

import json

import pytest
from hypothesis import given
from hypothesis import strategies as st

from translators.contract import Number, Reason, Refused, Tree
from translators.fhir import json_codec
from translators.fhir.json_codec import BYTE_ORDER_MARK, decode, encode

SECRET = "Kari-12834010060"
WELL_FORMED_NUMBERS = st.from_regex(r"-?(0|[1-9][0-9]{0,40})(\.[0-9]{1,40})?([eE][+-]?[0-9]{1,4})?", fullmatch=True)
SCALARS = st.none() | st.booleans() | st.text() | st.builds(Number, WELL_FORMED_NUMBERS)
TREES: st.SearchStrategy[Tree] = st.recursive(
    SCALARS, lambda inner: st.lists(inner, max_size=4) | st.dictionaries(st.text(), inner, max_size=4), max_leaves=25
)


def _refusal(data: bytes) -> Refused:
    with pytest.raises(Refused) as caught:
        decode(data)
    assert caught.value.reason is Reason.FORMAT
    assert caught.value.__cause__ is None
    return caught.value


@given(TREES)
def test_what_is_written_is_read_back_exactly(tree: Tree) -> None:
    """Every tree survives a round trip, and the second writing has the same bytes as the first."""
    data = encode(tree)
    assert decode(data) == tree
    assert encode(decode(data)) == data


@given(TREES)
def test_another_reader_sees_the_same_values(tree: Tree) -> None:
    """The standard library reads from our output what it reads from its own."""

    def plain(value: Tree) -> object:
        if isinstance(value, dict):
            return {name: plain(field) for name, field in value.items()}
        if isinstance(value, list):
            return [plain(item) for item in value]
        return json.loads(value.text) if isinstance(value, Number) else value

    assert json.loads(encode(tree)) == plain(tree)


@given(WELL_FORMED_NUMBERS)
def test_a_number_keeps_its_digits(text: str) -> None:
    """No number is ever turned into a binary float or an integer on its way."""
    assert encode(decode(f'[{{"value":{text}}}]'.encode())) == f'[{{"value":{text}}}]'.encode()


def test_the_order_of_keys_is_kept() -> None:
    """What a sender wrote first comes first."""
    assert encode(decode(b'{ "b" : 1 , "a" : [ true , null ] }')) == b'{"b":1,"a":[true,null]}'


@pytest.mark.parametrize(
    "data",
    [
        b'{"code":1,"code":1}',
        b'{"a":[{"code":1,"b":2,"code":3}]}',
        b'{"a":{"\\u0063ode":1,"code":1}}',
        b'{"a":{"code":{"x":1},"code":null}}',
    ],
)
def test_a_key_that_stands_twice_is_refused_by_name(data: bytes) -> None:
    """Two readers could see two different messages; so nobody gets one."""
    assert _refusal(data).text == 'the key "code" stands twice in one object'


def test_a_key_that_stands_twice_in_two_objects_is_two_keys() -> None:
    """Only within one object does a key have to be the only one of its name."""
    assert decode(b'[{"a":1},{"a":{"a":2}}]') == [{"a": Number("1")}, {"a": {"a": Number("2")}}]


@pytest.mark.parametrize("key", ["12834010060", "Kari Nordmann", "x" * 65, "", "a\\nb", "navn\u00e5"])
def test_a_key_that_is_no_element_name_is_not_named(key: str) -> None:
    """A key is content too when it is no plain word."""
    assert _refusal(f'{{"{key}":1,"{key}":2}}'.encode()).text == "a key stands twice in one object"


@pytest.mark.parametrize("constant", ["NaN", "Infinity", "-Infinity"])
def test_what_only_javascript_calls_a_number_is_refused(constant: str) -> None:
    """RFC 8259 has no NaN and no infinity, and no service takes them."""
    assert _refusal(f'{{"value":{constant}}}'.encode()).text == f"{constant} is not JSON"


@pytest.mark.parametrize("number", ["01", "+1", ".5", "1.", "1e", "0x10", "1_000", "\u0661", "--1", "1e5.0"])
def test_what_is_written_like_a_number_but_is_none_is_refused(number: str) -> None:
    """Only the grammar of RFC 8259 counts."""
    assert _refusal(f'{{"value":{number}}}'.encode()).text.startswith("not well-formed JSON at line 1, column ")


def test_a_byte_order_mark_is_passed_over() -> None:
    """Windows programs put one in front of UTF-8; RFC 8259 section 8.1 lets a reader ignore it."""
    assert decode(BYTE_ORDER_MARK + b'{"a":"\xc3\xa5"}') == {"a": "å"}


def test_a_second_byte_order_mark_is_refused() -> None:
    """One is a habit, two are an error."""
    assert _refusal(BYTE_ORDER_MARK * 2 + b"{}").text == "not well-formed JSON at line 1, column 1"


@pytest.mark.parametrize("encoding", ["utf-16", "utf-16-le", "utf-16-be", "utf-32", "utf-32-le", "utf-32-be"])
def test_another_unicode_encoding_is_refused(encoding: str) -> None:
    """JSON between systems is UTF-8 (RFC 8259 section 8.1), and no encoding is guessed."""
    text = _refusal('{"name":"Bl\u00e5b\u00e6r"}'.encode(encoding)).text
    assert text.startswith(("not UTF-8 at byte ", "not well-formed JSON at line 1, column "))


@pytest.mark.parametrize(
    ("data", "byte"),
    [
        ('{"a":"\u00e5"}'.encode("latin-1"), 6),
        (b'{"a":"\xed\xa0\x80"}', 6),  # a surrogate written as if it were a character
        (b'{"a":"\xc0\xaf"}', 6),  # an overlong slash
        (b'{"a":"\xf4\x90\x80\x80"}', 6),  # beyond the last character
        (b'{"a":"\xe2\x82', 6),  # cut off
        (b"\xff", 0),
    ],
)
def test_bytes_that_are_not_utf_8_are_refused_with_their_place(data: bytes, byte: int) -> None:
    """The place helps the vendor's developer; the byte itself may be content and is not told."""
    assert _refusal(data).text == f"not UTF-8 at byte {byte}"


@pytest.mark.parametrize(
    "data",
    [rb'["\ud83d"]', rb'["\uDE00"]', rb'["\ude00\ud83d"]', rb'{"\ud83d":1}', rb'["\ud83d x \ude00"]', rb'"\ud83d"'],
)
def test_half_a_surrogate_pair_is_refused(data: bytes) -> None:
    """No UTF-8 text can carry it on."""
    assert _refusal(data).text == "a text holds half of a surrogate pair"


@pytest.mark.parametrize(
    ("data", "text"),
    [(rb'"\ud83d\ude00"', "\U0001f600"), (rb'"\uD83D\uDE00"', "\U0001f600"), (rb'"\\ud83d"', r"\ud83d")],
)
def test_a_whole_pair_or_an_escaped_backslash_is_a_text(data: bytes, text: str) -> None:
    """Only half a pair is wrong."""
    assert decode(data) == text


@pytest.mark.parametrize("depth", [10_000, 1_000_000])
@pytest.mark.parametrize(("opening", "closing"), [(b"[", b"]"), (b'{"a":', b"}")])
def test_what_is_nested_without_end_is_refused(depth: int, opening: bytes, closing: bytes) -> None:
    """A hostile message exhausts neither stack nor time, whether it is closed again or not."""
    assert _refusal(opening * depth + b"1" + closing * depth).text == "nested too deep"
    assert _refusal(opening * depth).text == "nested too deep"


@pytest.mark.parametrize(
    ("data", "line", "column"),
    [
        (b"", 1, 1),
        (b" \n ", 2, 2),
        (b'{"a":1} x', 1, 9),
        (b'{"a":1}{"b":2}', 1, 8),
        (b"{'a':1}", 1, 2),
        (b'{"a" 1}', 1, 6),
        (b'{\n  "a": tru\n}', 2, 8),
        (b'["a\nb"]', 1, 4),
        (b'["a\x00b"]', 1, 4),
        (b'["a\tb"]', 1, 4),
        (rb'["\x41"]', 1, 3),
        (rb'["\u12"]', 1, 4),
        (b"/* note */ {}", 1, 1),
        (b"\xc2\xa0{}", 1, 1),
        (b'{"a":"x', 1, 6),
    ],
)
def test_what_is_not_well_formed_is_refused_with_line_and_column(data: bytes, line: int, column: int) -> None:
    """Trailing text, commas, quotes, comments, control characters: each at its place."""
    assert _refusal(data).text == f"not well-formed JSON at line {line}, column {column}"


@pytest.mark.parametrize(
    "data", [b'{"a":1,}', b"[1,]", b"[,1]", b'{,"a":1}', b"[1 2]", b"[1;2]", b"]", b"tru", b"None"]
)
def test_what_is_almost_json_is_refused(data: bytes) -> None:
    """No leniency at the codec: which column is told may differ from one Python to the next."""
    assert _refusal(data).text.startswith("not well-formed JSON at line 1, column ")


def _read(data: bytes) -> "Tree | Refused":
    try:
        return decode(data)
    except Refused as refusal:
        return refusal


@given(st.binary(max_size=40) | st.text(alphabet='{}[]":,0\\uded8e 1', max_size=30).map(str.encode))
def test_any_bytes_are_read_or_refused(data: bytes) -> None:
    """Nothing but a refusal ever comes out of the reader, and what it read can be written."""
    tree = _read(data)
    if isinstance(tree, Refused):
        assert tree.reason is Reason.FORMAT
    else:
        assert decode(encode(tree)) == tree


BLANKS = st.sampled_from(["", "", " ", "\n\t"])
WRITTEN_SCALARS = st.sampled_from(
    [
        "null",
        "true",
        '""',
        '"a:b"',
        '"\\":"',
        '"\\u003a"',
        '"\\ud83d\\ude00"',
        '"\\ud83d"',
        '"2026-01-02"',
        '"\\\\"',
        '"\x01"',
    ]
) | st.sampled_from(["0", "-0", "-0.0", "1.50", "120", "-7", "1E+5", "01", "9" * 25, "9" * 5000, "NaN"])
ESCAPES = st.sampled_from(['"\\ud83d\\u0041"', '"\\udc00"', '"\\udc00\\ud83d"', '"\\u003A"', '"\\u00e6"'])
WRITTEN_KEYS = st.sampled_from(['"a"', '"a"', '"b"', '"a:"', '"\\u0061"', '":"', '"\\":"', '""'])


def _object(pairs: list[tuple[str, str, str, str]]) -> str:
    return "{" + ",".join(f"{key}{before}:{after}{value}" for key, before, after, value in pairs) + "}"


WRITTEN = st.recursive(
    WRITTEN_SCALARS | ESCAPES,
    lambda inner: (
        st.lists(inner, max_size=4).map(lambda items: f"[{' , '.join(items)}]")
        | st.lists(st.tuples(WRITTEN_KEYS, BLANKS, BLANKS, inner), max_size=4).map(_object)
    ),
    max_leaves=12,
)
"""Texts, mostly well-formed, in which keys stand twice and colons stand in texts, however they are written."""


@given(WRITTEN)
def test_the_quick_way_reads_as_the_careful_one(text: str) -> None:
    """To the digit and the type, and refuses for the same reason: a key that stands twice is never hidden by a colon elsewhere."""
    data = text.encode()
    try:
        wanted = repr(json_codec._decode_carefully(data))
    except Refused as refusal:
        wanted = repr(refusal)
    found = _read(data)
    assert repr(found) == wanted


def test_a_message_is_read_the_quick_way() -> None:
    """Or the test above would say nothing."""
    for numbers in ("", ", 1, -2.50"):
        data = f'{{"a": {{"time": "12:30", "b": [true{numbers}, {{"c": null}}]}}, "c": "ÆØÅ"}}'.encode()
        assert json_codec._plain(data) == json_codec._decode_carefully(data)


@pytest.mark.parametrize(("opening", "closing"), [(b'{"a":', b"}"), (b"[", b"]"), (b'{"a":[', b"]}")])
@pytest.mark.parametrize("depth", [1, 5, 6, 7, 12, 13, 14, 100])
def test_what_is_nested_deeper_than_messages_are_is_read_too(depth: int, opening: bytes, closing: bytes) -> None:
    """The quick way knows so many levels."""
    data = opening * depth + b'"b"' + closing * depth
    assert repr(decode(data)) == repr(json_codec._decode_carefully(data))


@given(st.data())
def test_a_refusal_holds_nothing_of_the_message(data: st.DataObject) -> None:
    """Whatever is cut out of a message or put into it, its content stays out of the text."""
    message = encode({"resourceType": "Patient", SECRET: [SECRET, {"name": SECRET, "value": Number("12834010060")}]})
    start = data.draw(st.integers(0, len(message)))
    end = data.draw(st.integers(start, len(message)))
    breaking = [b"", b"\xff", b"\\ud800", b"\x00", b"NaN", b",,", b'"name":1,"name":2', b"12834010060"]
    tree = _read(message[:start] + data.draw(st.sampled_from(breaking)) + message[end:])
    if isinstance(tree, Refused):
        assert not any(part in str(tree) for part in ("Kari", "12834", "010060"))


def test_an_object_that_is_no_part_of_a_tree_is_not_written() -> None:
    """The writer knows nothing but trees: a wrong type is a mistake of ours, not a text in the output."""
    with pytest.raises(TypeError):
        encode({"value": complex(1, 2)})  # type: ignore[dict-item]  # the mistake that is tested


def test_numbers_are_equal_by_their_digits() -> None:
    """1.0 and 1.00 say different things about precision."""
    assert Number("1.0") == Number("1.0")
    assert Number("1.0") != Number("1.00")
    assert Number("1") != "1"
    assert len({Number("1"), Number("1"), Number("1.0")}) == 2
    assert repr(Number("81.30")) == "Number('81.30')"
