"""VKP R4 as senders write it: repaired to what FHIR R4 allows, with everything that would be lost."""

from translators.contract import Message, Reason, Refused, Settings, Tree
from translators.fhir.conform import conform
from translators.fhir.elements import r4
from translators.information import information_of
from translators.source import Source


def read(tree: Tree, settings: Settings) -> Message:  # noqa: ARG001 - what a reader is given
    """Return the message in the inner language; raises `Refused` where it has no single right reading."""
    kind = tree.get("resourceType") if isinstance(tree, dict) else None
    if not isinstance(kind, str):
        raise Refused(Reason.FORMAT, "a FHIR resource with resourceType is expected")
    source = Source(tree, kind if kind in r4().resources else "Resource")
    repaired = conform(source.root, r4())
    losses, coverage = source.finish("not an element of FHIR R4 here")
    return Message(repaired, information_of(repaired), tuple(source.repairs), losses, coverage)
