"""Which narratives are XHTML that FHIR allows."""

import pytest

from service_stubs.fhir_values import narrative_fault as fault_by_the_double
from translators.fhir.narrative import narrative_fault

BEGIN = '<div xmlns="http://www.w3.org/1999/xhtml">'


@pytest.mark.parametrize(
    "content",
    [
        "x",
        "<p>Linje 1<br/>Linje 2</p> <p>&amp; &lt; &gt; &#229; &quot;</p>",
        "<p><b>x</b> <i style='color: red'>y</i> <a href='https://a.example/'>z</a></p>",
        "<table border='1'><thead><tr><th>x</th></tr></thead><tbody><tr><td colspan='2'>1</td></tr></tbody></table>",
        "<ul><li>x</li></ul><ol><li>y</li></ol><dl><dt>a</dt><dd>b</dd></dl>",
        "<img src='#x' alt='bilde'/>",
        "<p xml:lang='nb' lang='nb'>x</p>",
        "<!-- to be read --><p>x</p>",
    ],
)
def test_basic_formatting_is_allowed(content: str) -> None:
    """Text, lists, tables, links and images, by our parser and by the double's."""
    assert narrative_fault(f"{BEGIN}{content}</div>") is None
    assert fault_by_the_double(f"{BEGIN}{content}</div>") is None


@pytest.mark.parametrize(
    ("div", "fault"),
    [
        (f"{BEGIN}</div>", "a narrative without any text (txt-2)"),
        (f"{BEGIN} <p> </p>\n<br/></div>", "a narrative without any text (txt-2)"),
        (f"{BEGIN}<b> </b></div>", "a narrative without any text (txt-2)"),
        (f"{BEGIN}x", "not well-formed XHTML"),
        (f"{BEGIN}<p>x</div>", "not well-formed XHTML"),
        (f"{BEGIN}x & y</div>", "not well-formed XHTML"),
        (f"{BEGIN}&nbsp;x</div>", "not well-formed XHTML"),
        (f"{BEGIN}x</div>y", "not well-formed XHTML"),
        ("x", "not well-formed XHTML"),
        ("<!DOCTYPE div [<!ENTITY a 'x'>]>" + f"{BEGIN}&a;</div>", "not well-formed XHTML"),
        ("<div>x</div>", "not a div of XHTML"),
        ('<p xmlns="http://www.w3.org/1999/xhtml">x</p>', "not a div of XHTML"),
        (f"{BEGIN}x<script>y</script></div>", "an element that no narrative may hold (txt-1)"),
        (f"{BEGIN}x<form/></div>", "an element that no narrative may hold (txt-1)"),
        (f'{BEGIN}x<svg xmlns="http://www.w3.org/2000/svg"/></div>', "an element that no narrative may hold (txt-1)"),
        (f"{BEGIN}<p onclick='x'>y</p></div>", "an attribute that no narrative may hold (txt-1)"),
        (f"{BEGIN}<a href=' JavaScript:x'>y</a></div>", "a link to active content (txt-1)"),
    ],
)
def test_anything_else_is_told(div: str, fault: str) -> None:
    """By what it is, without a word of it; the double refuses it too."""
    assert narrative_fault(div) == fault
    assert fault_by_the_double(div) is not None


@pytest.mark.parametrize("content", ["<li>x</li>", "<td>x</td>", "<ul><dt>x</dt></ul>", "<p><tr><td>x</td></tr></p>"])
def test_a_part_of_a_list_or_table_stands_in_one(content: str) -> None:
    """HTML 4.0, chapters 10 and 11."""
    assert narrative_fault(f"{BEGIN}{content}</div>") == "an element of a list or table outside of one (txt-1)"


def test_a_long_narrative_takes_no_more_than_its_length() -> None:
    """Neither a right one nor one that goes wrong at its very end makes the check begin again and again."""
    long = f"{BEGIN}{'<p>x &amp; y<br/></p>' * 20_000}"
    assert narrative_fault(f"{long}</div>") is None
    assert narrative_fault(f"{long}<") == "not well-formed XHTML"
