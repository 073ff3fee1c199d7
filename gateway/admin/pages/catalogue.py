"""The texts of the pages, Norwegian bokmål and English: texts/nb.toml and texts/en.toml, each read once.

A key is found by its name alone; the tables of a file only put together what is about one subject.
"""

import tomllib
from importlib import resources

Texts = dict[str, str]

DEFAULT = "nb"
_LANGUAGES = ("nb", "en")


def _read(language: str) -> Texts:
    """Return the texts of a language by their keys; raises `ValueError` where two tables have the same key."""
    path = resources.files("gateway.admin.pages").joinpath("texts", f"{language}.toml")
    texts: Texts = {}
    for name, table in tomllib.loads(path.read_text(encoding="utf-8")).items():
        if twice := texts.keys() & table.keys():
            raise ValueError(f"{language}.toml: [{name}] has keys of another table: {', '.join(sorted(twice))}")
        texts |= table
    return texts


TEXTS: dict[str, Texts] = {language: _read(language) for language in _LANGUAGES}


def language(asked: str, remembered: str, accepted: str) -> str:
    """Return the language of a page: the one asked for, or remembered, or that the browser prefers; else Norwegian."""
    if asked in TEXTS:
        return asked
    if remembered in TEXTS:
        return remembered
    preferred = [part.partition(";")[0].strip().lower().partition("-")[0] for part in accepted.split(",")]
    known = [{"no": "nb", "nn": "nb"}.get(one, one) for one in preferred]
    return next((one for one in known if one in TEXTS), DEFAULT)
