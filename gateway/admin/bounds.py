"""How much the admin port answers at once, and how long that may take."""

from dataclasses import dataclass


@dataclass(frozen=True, slots=True)
class Bounds:
    """Bounds of pages and answers; times in seconds."""

    exported: int = 100_000
    """Messages of one export of what may be sent back."""
    lines: int = 100
    """Rehearsals on the page of the report, and lines of who needs VKP; the API has all of them."""
    first_lines: int = 10
    """Of those lines, how many stand there before the rest is unfolded."""
    tokens: float = 10.0
    """That the tokens of a preflight may keep a page waiting."""
    look: float = 2.0
    """Between two looks at what may have changed on a page that is open."""
    stream: float = 55.0
    """Of one stream of changes; the browser then asks again, and is let in again or not."""


USUAL_BOUNDS = Bounds()
