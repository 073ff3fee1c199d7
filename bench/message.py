"""The messages that are measured: the demo's own, lengthened with a note until they have the wanted size."""

import json
from importlib import resources

SIZE = 6_000
"""Bytes of a common message."""
STU3_SIZE = 5_000
"""Bytes of a dispense of STU3 that failed, in XML, with a note."""
SOAP_SIZE = 5_000
"""Bytes of a note in a MsgHead, in its Envelope."""
_NOTE = {
    "title": "Oppfølging",
    "code": {"coding": [{"system": "http://ehelse.no/fhir/CodeSystem/vkp-composition-section-v090", "code": "1.1"}]},
    "text": {"status": "additional", "div": ""},
}
_DIV = '<div xmlns="http://www.w3.org/1999/xhtml">{}</div>'
_TEXT = "Bruker ble ringt opp og svarte at alt var i orden."


def alarm_follow_up(size: int = SIZE) -> bytes:
    """Return the message as compact JSON of exactly `size` bytes; whole notes first, letters in the last one for the rest."""
    tree = json.loads(resources.files("translators").joinpath("examples", "alarm-follow-up.json").read_bytes())
    sections = tree["entry"][0]["resource"]["section"]
    longest = len(_bytes(_note(_TEXT)))
    # Each whole note comes with a comma; room for one more is left to the last.
    whole = max(0, -(-(size - len(_bytes(tree)) - 2 * longest) // (longest + 1)))
    sections.extend(_note(_TEXT) for _ in range(whole))
    sections.append(_note(""))
    sections[-1] = _note("x" * (size - len(_bytes(tree))))
    return _bytes(tree)


def failed_dispense(size: int = STU3_SIZE) -> bytes:
    """Return a message of STU3 as XML of exactly `size` bytes: letters in its note for what is missing."""
    data = resources.files("translators").joinpath("examples", "stu3", "dispense-with-note.xml").read_bytes()
    head, end, rest = data.partition(b"</div>")
    return head + b"x" * (size - len(data)) + end + rest


def note_in_soap(size: int = SOAP_SIZE) -> bytes:
    """Return a MsgHead in its Envelope of exactly `size` bytes: letters in its note for what is missing."""
    data = resources.files("translators").joinpath("examples", "soap", "note.xml").read_bytes()
    head, end, rest = data.partition(b"</TekstNotatInnhold>")
    return head + b"x" * (size - len(data)) + end + rest


def search_in_soap() -> bytes:
    """Return a search, as zeep reads it."""
    asked = b'<HentTjenester xmlns="http://vkp.nhn.no/Innhenting"><Mottaker><Orgnr>315058384</Orgnr></Mottaker></HentTjenester>'
    return b'<e:Envelope xmlns:e="http://www.w3.org/2003/05/soap-envelope"><e:Body>' + asked + b"</e:Body></e:Envelope>"


def _note(text: str) -> dict[str, object]:
    return {**_NOTE, "text": {"status": "additional", "div": _DIV.format(text)}}


def _bytes(tree: object) -> bytes:
    return json.dumps(tree, ensure_ascii=False, separators=(",", ":")).encode()
