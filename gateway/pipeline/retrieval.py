"""Retrieval where VKP does not answer: who does, and what an answer must be."""

from typing import Protocol

from gateway.config.model import Municipality, Sender
from gateway.surfaces.search import Search
from translators.contract import Tree


class RetrievalSource(Protocol):
    """Answers searches in place of VKP from what an information service has told."""

    async def find(self, search: Search, municipality: Municipality, sender: Sender) -> tuple[Tree, ...]:
        """Return the resources that are found, as VKP's R4 profiles have them.

        Raises `Failure`: `NO_NEED` where the patient has no service behind the codes, `UNAVAILABLE` while what there is to answer
        from is missing or too old.
        """
        ...
