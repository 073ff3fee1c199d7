"""The texts of the pages, Norwegian bokmål and English: each file of texts/nb and texts/en is about one subject, and is read once.

A key is found by its name alone. Keys that code puts together of a family and a value are `family-value`; tests list every family with its values.
"""

import tomllib
from importlib import resources

Texts = dict[str, str]

DEFAULT = "nb"
LANGUAGES = ("nb", "en")


def _read(language: str) -> Texts:
    """Return the texts of a language by their keys; raises `ValueError` where two files have the same key."""
    folder = resources.files("gateway.admin.pages").joinpath("texts", language)
    texts: Texts = {}
    for path in sorted((each for each in folder.iterdir() if each.name.endswith(".toml")), key=lambda each: each.name):
        table = tomllib.loads(path.read_text(encoding="utf-8"))
        if twice := texts.keys() & table.keys():
            raise ValueError(f"{language}/{path.name} has keys of another file: {', '.join(sorted(twice))}")
        texts |= table
    return texts


TEXTS: dict[str, Texts] = {language: _read(language) for language in LANGUAGES}


def language(asked: str, remembered: str, accepted: str) -> str:
    """Return the language of a page: the one asked for, or remembered, or that the browser prefers; else Norwegian."""
    if asked in TEXTS:
        return asked
    if remembered in TEXTS:
        return remembered
    preferred = [part.partition(";")[0].strip().lower().partition("-")[0] for part in accepted.split(",")]
    known = [{"no": "nb", "nn": "nb"}.get(one, one) for one in preferred]
    return next((one for one in known if one in TEXTS), DEFAULT)
