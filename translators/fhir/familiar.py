"""Which XML texts hold no names but familiar ones: libxml2 keeps every name that a thread has read for as long as it lives."""

import _thread
import re
from collections.abc import Callable
from typing import TypeVar

T = TypeVar("T")

MOST_NAMES = 4096
"""Names that are kept for good; what senders write of FHIR is a few hundred."""
LARGEST = 65_536
"""Bytes up to which a text is looked through; for a larger one a thread of its own costs little beside reading it."""

_NAMES = re.compile(rb"</?([^\s/>!]+)")
_ATTRIBUTE = re.compile(rb' (xmlns[A-Za-z:]*="[^"]*"|[A-Za-z:]+=")')
"""An attribute's name, and what a namespace is."""
_USUAL = frozenset(
    (
        b'value="',
        b'url="',
        b'id="',
        b'xmlns="http://hl7.org/fhir"',
        b'xmlns="http://www.w3.org/1999/xhtml"',
        b'xmlns:xsi="http://www.w3.org/2001/XMLSchema-instance"',
        b'xsi:schemaLocation="',
        b'V="',
        b'S="',
        b'DN="',
        b'xmlns="http://www.kith.no/xmlstds/msghead/2006-05-24"',
        b'xmlns="http://www.kith.no/xmlstds/dialog/2013-01-23"',
        b'xmlns="http://www.kith.no/xmlstds/base64container"',
        b'xmlns="http://vkp.nhn.no/Journalforing"',
        b'xmlns:soap="http://schemas.xmlsoap.org/soap/envelope/"',
        b'xmlns:soap="http://www.w3.org/2003/05/soap-envelope"',
        b'xmlns:soapenv="http://schemas.xmlsoap.org/soap/envelope/"',
    )
)
_DECLARATION = re.compile(rb"""<\?xml version=["']1\.[0-9]["'](?: encoding=["'][A-Za-z0-9._-]{1,40}["'])? ?\?>""")
_REFERENCES = (b"&amp;", b"&lt;", b"&gt;", b"&quot;", b"&apos;", b"&#")


class Names:
    """The names that have been read so far, up to a bound: who invents more than that finds no more room here."""

    def __init__(self, most: int = MOST_NAMES) -> None:
        self._most = most
        self._known: set[bytes] = set()

    def are_familiar(self, text: bytes) -> bool:
        """Tell whether reading a text adds no name to those that are kept, or there is room for what it adds.

        Errs on the safe side: any `=` or `&` that does not belong to a usual attribute or reference counts as a strange name.
        """
        if len(text) > LARGEST:
            return False
        declaration = _DECLARATION.match(text)
        expected = declaration[0].count(b"=") if declaration else 0
        attributes = _ATTRIBUTE.findall(text, declaration.end() if declaration else 0)
        if text.count(b"=") != len(attributes) + expected or not _USUAL.issuperset(attributes):
            return False
        if b"&" in text and text.count(b"&") != sum(map(text.count, _REFERENCES)):
            return False
        names = _NAMES.findall(text)
        if self._known.issuperset(names):
            return True
        new = set(names) - self._known
        if len(new) + len(self._known) > self._most:
            return False
        self._known |= new
        return True


def apart(work: Callable[[], T]) -> T:
    """Do work in a thread of its own, which leaves no names behind, and wait for it; what it raises is raised here."""
    done = _thread.allocate_lock()
    results: list[T] = []
    errors: list[BaseException] = []

    def run() -> None:
        try:
            results.append(work())
        except BaseException as error:  # noqa: BLE001 - whoever waits gets it
            errors.append(error)
        finally:
            done.release()

    done.acquire()
    _thread.start_new_thread(run, ())
    done.acquire()
    if errors:
        raise errors[0]
    return results[0]
