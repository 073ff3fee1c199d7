"""How many there are of something, as English sentences say it: for every room."""


def counted(number: int, thing: str, things: str | None = None) -> str:
    """Return a number with what is counted: 1 error, 2 errors; `things` where an s is not enough."""
    return f"{number} {thing if number == 1 else things or thing + 's'}"
