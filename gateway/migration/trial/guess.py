"""What a message that somebody brings is: by which interface it came, from whom and for whom, as far as its own words say."""

import re
from collections.abc import Collection, Iterator

from msgspec import Struct

from gateway.config.directory import Directory
from gateway.config.model import Municipality, Sender
from gateway.surfaces import vkp_r4
from gateway.surfaces.base import Surface
from gateway.surfaces.soap import surface as vkp_soap
from gateway.surfaces.vkp_stu3 import surface as vkp_stu3
from translators.contract import Tree

_BLANKS = b"\xef\xbb\xbf \t\r\n"
_BEGINNING = 4096
"""Bytes of an XML document in which its kind is said."""
_OF_SOAP = (b"MsgHead", b"SendMelding", b"Envelope")
_OF_STU3 = re.compile(rb'"MessageHeader"|/StructureDefinition/vkp-[A-Za-z-]+-v0[56]\b|"type"\s*:\s*"message"')
_DECLARED = re.compile(r"""(<\?xml[^>]{0,200}?encoding\s*=\s*)(["'])[A-Za-z0-9._-]{1,40}\2""")
_MOST_TEXTS = 50_000
"""Texts of a message in which names are looked for."""


class Parties(Struct, frozen=True):
    """Whom a message names; None where it names nobody who is known here, or several."""

    municipality: Municipality | None
    sender: Sender | None


NOBODY = Parties(None, None)


def pasted(text: str) -> bytes:
    """Return a text as the bytes of a message: whatever XML says of its encoding, a browser has decoded it."""
    return _DECLARED.sub(r"\1\2UTF-8\2", text, count=1).encode("utf-8", "surrogatepass")


def surface_of(data: bytes) -> Surface:
    """Return the interface that a message was most likely sent to."""
    start = data.lstrip(_BLANKS)[:_BEGINNING]
    if start.startswith(b"<"):
        return vkp_soap if any(word in start for word in _OF_SOAP) else vkp_stu3
    return vkp_stu3 if _OF_STU3.search(data) else vkp_r4


def parties_of(tree: Tree, surface: Surface, directory: Directory, within: Collection[str] | None) -> Parties:
    """Return whom a message names; `within` are the municipalities that may be said, None is all."""
    whom = surface.addressed(tree) if isinstance(tree, dict) else None
    numbers = () if whom is None else (*whom.orgnrs, *whom.her_ids)
    found = _municipalities(numbers, directory, within)
    texts = list(_texts(tree))
    found = found or _municipalities(texts, directory, within)
    senders = {one.key: one for text in texts if (one := _sender(text, directory)) is not None}
    theirs = [one for one in senders.values() if one.serves_any(within)]
    return Parties(found[0] if len(found) == 1 else None, theirs[0] if len(theirs) == 1 else None)


def _municipalities(
    numbers: Collection[str], directory: Directory, within: Collection[str] | None
) -> list[Municipality]:
    found = {}
    for number in numbers:
        one = directory.municipality_by_orgnr(number) or directory.municipality_by_her_id(number)
        if one is not None and (within is None or one.key in within):
            found[one.key] = one
    return list(found.values())


def _sender(text: str, directory: Directory) -> Sender | None:
    return directory.sender_by_vkp_id(text) or directory.sender_by_her_id(text)


def _texts(tree: Tree) -> Iterator[str]:
    """Return the texts of a message that may be a name or a number of somebody."""
    pending: list[Tree] = [tree]
    for count, value in enumerate(pending):  # grows while it is gone through
        if count >= _MOST_TEXTS:
            return
        if isinstance(value, str):
            if 3 < len(value) <= 100:
                yield value
        elif isinstance(value, dict):
            pending += value.values()
        elif isinstance(value, list):
            pending += value
