"""What a part of routes.yaml is described with: its keys, their meanings and defaults."""

from dataclasses import dataclass, field


@dataclass(frozen=True, slots=True)
class Key:
    """One key and its meaning; the default is written as in the file."""

    name: str
    meaning: str
    default: str | None = None
    required: bool = False


@dataclass(frozen=True)
class Section:
    """The keys that may stand together under `path`; `*` in a path is a short name or the place in a list."""

    path: str
    keys: dict[str, Key]
    later: frozenset[str] = field(default=frozenset())
    """Keys of the form that this version does not read yet; only null, [] and {} are accepted there."""

    @property
    def names(self) -> list[str]:
        """Every key of the form, for suggestions."""
        return [*self.keys, *sorted(self.later)]


def section(path: str, *keys: Key, later: tuple[str, ...] = ()) -> Section:
    """Make a part from its keys, and the names of those that this version does not read yet."""
    return Section(path, {key.name: key for key in keys}, frozenset(later))


def must(name: str, meaning: str) -> Key:
    """Make a key that may not be left out."""
    return Key(name, meaning, required=True)
