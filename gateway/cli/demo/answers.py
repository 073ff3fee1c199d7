"""What a sender reads in an answer: VKP's code, and the code of a message that answers a message."""

from collections.abc import Iterator
from dataclasses import dataclass

from lxml import etree

from gateway.surfaces.vkp_stu3 import message
from translators.contract import Refused, Tree
from translators.patient import NATIONAL_SYSTEMS
from translators.soap.envelope import opened
from translators.soap.schema import RETRIEVAL


@dataclass(frozen=True, slots=True)
class Answer:
    """The two codes, where the answer has them; of an AppRec its error and its status."""

    code: str | None = None
    response: str | None = None
    patients: int | None = None
    """How many patients a searchset is about; None in what is none."""


def read_answer(body: bytes) -> Answer:
    """Read an answer in JSON or XML as a vendor's developer would; both codes are None in what has none."""
    if b"Envelope" in body[:200]:
        return _of_soap(body)
    try:
        tree, _ = message.decode(body)
    except Refused:
        return Answer()
    codes, responses = [], []
    for resource in _resources(tree):
        codes += [code for issue in _each(resource, "issue") for code in _texts(issue, "details", "coding", "code")]
        responses += list(_texts(resource, "response", "code"))
    is_searchset = isinstance(tree, dict) and tree.get("type") == "searchset"
    patients = len({number for one in _resources(tree) for number in _numbers(one)}) if is_searchset else None
    return Answer(next(iter(codes), None), next(iter(responses), None), patients)


def _numbers(resource: dict[str, Tree]) -> Iterator[str]:
    """Go through the national numbers of whom a resource is, or is about."""
    holders = [resource] if resource.get("resourceType") == "Patient" else []
    for holder in (*holders, *_each(resource, "subject"), *_each(resource, "patient")):
        for identifier in _each(holder, "identifier"):
            if identifier.get("system") in NATIONAL_SYSTEMS:
                yield from _texts(identifier, "value")


def _of_soap(body: bytes) -> Answer:
    """Read an AppRec's status and error, how many patients a search has found, or VKP's code in a fault."""
    try:
        found = opened(body).body
    except Refused:
        return Answer()
    if etree.QName(found).namespace == RETRIEVAL:
        numbers = found.iterfind(".//{*}Type/../{*}Id")
        return Answer(patients=len({one.text for one in numbers}))
    status, error = next(found.iter("{*}Status"), None), next(found.iter("{*}Error"), None)
    if status is not None:
        return Answer(error.get("V") if error is not None else None, f"AppRec {status.get('V')}")
    codes = [*found.iter("{*}ErrorCode"), *found.iter("{*}faultstring")]
    return Answer(codes[0].text if codes else None)


def _resources(tree: Tree) -> Iterator[dict[str, Tree]]:
    if isinstance(tree, dict):
        yield tree
        for entry in _each(tree, "entry"):
            yield from _each(entry, "resource")


def _texts(element: dict[str, Tree], *names: str) -> Iterator[str]:
    *path, last = names
    found = [element]
    for name in path:
        found = [inner for outer in found for inner in _each(outer, name)]
    yield from (value for one in found if isinstance(value := one.get(last), str))


def _each(element: dict[str, Tree], name: str) -> list[dict[str, Tree]]:
    value = element.get(name)
    return [one for one in (value if isinstance(value, list) else [value]) if isinstance(one, dict)]
