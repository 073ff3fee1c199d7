"""How much is held, as last counted, and what has been held since."""

from collections import Counter
from collections.abc import Mapping


class Backlog:
    """Held messages by municipality; counted for all nodes now and then, and for this one in between."""

    def __init__(self) -> None:
        self._held: Counter[str] = Counter()

    def counted(self, held: Mapping[str, int]) -> None:
        """Take a new count."""
        self._held = Counter(held)

    def add(self, municipality: str) -> None:
        """Count a message that is held from now on."""
        self._held[municipality] += 1

    def is_full(self, municipality: str, most: int) -> bool:
        """Tell whether no more is held for a municipality."""
        return self._held[municipality] >= most
