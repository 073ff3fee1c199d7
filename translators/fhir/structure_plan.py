"""What every type of FHIR R4 asks of its elements, as plans that one walk over a message follows."""

import json
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from functools import cache, partial
from importlib import resources
from typing import Any

from translators.fhir.corrections import STANDS, Standing
from translators.fhir.elements import ELEMENT, NUMERIC, Element, Form, form_of, r4
from translators.fhir.invariants import INVARIANTS, Fields, Invariant, objects
from translators.fhir.primitives import NUMBERS, TEXTS, Matcher, is_absolute

DEEPEST = 65
"""How many objects may stand within each other, as in what is read."""
_SIMPLE_QUANTITIES: Mapping[str, frozenset[str]] = {
    "CarePlan.activity.detail": frozenset({"dailyAmount", "quantity"}),
    "Dosage": frozenset({"maxDosePerAdministration", "maxDosePerLifetime"}),
    "Dosage.doseAndRate": frozenset({"doseQuantity", "rateQuantity"}),
    "Immunization": frozenset({"doseQuantity"}),
    "MedicationAdministration.dosage": frozenset({"dose", "rateQuantity"}),
    "MedicationDispense": frozenset({"daysSupply", "quantity"}),
    "MedicationRequest.dispenseRequest": frozenset({"quantity"}),
    "MedicationRequest.dispenseRequest.initialFill": frozenset({"quantity"}),
    "Observation.referenceRange": frozenset({"high", "low"}),
    "Range": frozenset({"high", "low"}),
    "SampledData": frozenset({"origin"}),
    "Specimen.collection": frozenset({"quantity"}),
    "SupplyDelivery.suppliedItem": frozenset({"quantity"}),
}
"""The quantities that are no more and no less than their value (FHIR R4, datatypes.html#SimpleQuantity)."""
NESTED = "Extension>Extension"
"""The plan of an extension within another, whose URL may be a name alone (FHIR R4, extensibility.html)."""


@dataclass(slots=True, eq=False)
class Step:
    """One element of a type."""

    name: str
    type: str
    form: Form
    repeats: bool
    is_text: bool
    """Whether it is one text, as most elements are."""
    right: Matcher | None
    """What a primitive's text or digits must pass; None for a text of any kind."""
    wrong: str
    """What a value that does not pass is not."""
    codes: frozenset[str] | None = None
    """The closed list of a code."""
    concepts: Mapping[str, frozenset[str]] | None = None
    """The codes by their systems, one of which a CodeableConcept or Coding must have."""
    targets: frozenset[str] | None = None
    """What a Reference may refer to; None for anything."""
    is_exact: bool = False
    """Whether it is a Quantity without a comparator."""
    is_sibling: bool = False
    """Whether it is the `_name` of a primitive."""
    is_simple: bool = False
    """Whether a value is an object of whose place nothing else is asked."""
    row: "Row | None" = None
    """The plan of what is inside it; None for a primitive, and for a resource, which names its own type."""
    row_key: str = ""
    """Under which that plan stands among all."""

    def has_concept(self, value: Fields) -> bool:
        """Whether a CodeableConcept or Coding has one of the codes, or none at all."""
        codings = [value] if self.type == "Coding" else list(objects(value.get("coding")))
        return not codings or any(self._is_concept(coding) for coding in codings)

    def _is_concept(self, coding: Fields) -> bool:
        system, code = coding.get("system"), coding.get("code")
        known = self.concepts.get(system, frozenset()) if self.concepts is not None and isinstance(system, str) else ()
        return isinstance(code, str) and code in known


@dataclass(slots=True, eq=False)
class Row:
    """One type."""

    name: str
    is_resource: bool
    make_steps: Callable[[], dict[str, Step]]
    mandatory: tuple[str, ...] = ()
    """By their names; a choice as `value[x]`."""
    simple: frozenset[str] = frozenset()
    """The mandatory elements that are no choices."""
    choices: tuple[tuple[str, frozenset[str]], ...] = ()
    """Choices by name, with the elements of which at most one may be there."""
    invariants: tuple[Invariant, ...] = ()
    is_extension: bool = False
    is_reference: bool = False
    is_element: bool = False
    """Whether it is what the `_name` of a primitive holds."""
    stands: "Callable[[Fields, Standing], bool] | None" = None
    """Tells of an object of which something may have to be corrected that nothing has; None where nothing ever has."""
    _steps: dict[str, Step] | None = None

    @property
    def steps(self) -> dict[str, Step]:
        """The elements, made when they are first asked for: whoever handles one message needs few of the types."""
        if self._steps is None:
            self._steps = self.make_steps()
        return self._steps


@cache
def rows() -> dict[str, Row]:
    """Return the plans of all types of FHIR R4, read from the package's own data files."""
    file = resources.files("translators.fhir").joinpath("r4_structure.json")
    return _Planner(json.loads(file.read_text(encoding="utf-8"))).rows()


class _Planner:
    def __init__(self, table: dict[str, Any]) -> None:
        self._table = table
        self._lists = {
            url: {system: frozenset(codes) for system, codes in lists.items()} for url, lists in table["lists"].items()
        }
        self._release = r4()
        self._rows = {
            name: Row(name, name in self._release.resources, partial(self._steps, name, name))
            for name in self._release.types
        }
        self._rows[NESTED] = Row("Extension", False, partial(self._steps, NESTED, "Extension"))

    def rows(self) -> dict[str, Row]:
        for row in self._rows.values():
            row.mandatory = tuple(self._table["mandatory"].get(row.name, ()))
            row.simple = frozenset(name for name in row.mandatory if not name.endswith("[x]"))
            row.choices = tuple(self._release.choices.get(row.name, {}).items())
            row.invariants = INVARIANTS.get(row.name, ())
            row.is_extension, row.is_reference = row.name == "Extension", row.name == "Reference"
            row.is_element = row.name == ELEMENT
            row.stands = STANDS.get(row.name)
        return self._rows

    def _steps(self, key: str, kind: str) -> dict[str, Step]:
        return {name: self._step(key, name, one) for name, one in self._release.types[kind].items()}

    def _step(self, owner: str, name: str, element: Element) -> Step:
        form = form_of(element)
        right, wrong = self._matcher(owner, name, element)
        step = Step(name, element.type, form, element.repeats, form == "text" and not element.repeats, right, wrong)
        step.codes = self._codes(owner, name) if element.type == "code" else None
        if form == "object":
            key = NESTED if element.type == "Extension" and owner in ("Extension", NESTED) else element.type
            step.row, step.row_key = self._rows[key], key
            targets = self._table["targets"].get(owner.partition(">")[0], {}).get(name)
            step.targets = frozenset(targets) if targets is not None else None
            step.is_exact = name in _SIMPLE_QUANTITIES.get(owner, ())
            step.is_sibling = element.type == ELEMENT and name[0] == "_"
            step.concepts = self._lists.get(self._table["codes"].get(owner.partition(">")[0], {}).get(name, ""))
        is_asked = step.concepts is not None or step.targets is not None or step.is_exact
        step.is_simple = form == "object" and not is_asked
        return step

    def _codes(self, owner: str, name: str) -> frozenset[str] | None:
        """Return the closed list that a code must be of."""
        url = self._table["codes"].get(owner, {}).get(name)
        return frozenset[str]().union(*self._lists[url].values()) if url is not None else None

    def _matcher(self, owner: str, name: str, element: Element) -> tuple[Matcher | None, str]:
        kind = element.type
        codes = self._codes(owner, name) if kind == "code" else None
        if codes is not None:
            return codes.__contains__, f"not a code of {self._table['codes'][owner][name].rpartition('/')[2]}"
        if (owner, name) in (("Extension", "url"), ("Coding", "system"), ("Identifier", "system")):
            return is_absolute, "not an absolute URI"
        if (owner, name) == (NESTED, "url"):
            return TEXTS["uri"], "not a uri"
        found: Callable[[str], object] | None = NUMBERS.get(kind) if kind in NUMERIC else TEXTS.get(kind)
        if kind == "string" and name == "id":
            # HL7 calls the id of a resource a string too, in R4; that of an element has no blanks around it.
            is_resource = owner in self._release.resources
            found, kind = (TEXTS["id"], "id") if is_resource else (_has_no_blanks_around, kind)
        elif kind in ("string", "markdown"):
            return str.strip, "a text of blanks alone"
        article = "an" if kind[0] in "aeio" else "a"
        return found, f"not {article} {kind}"


def _has_no_blanks_around(text: str) -> bool:
    return text.strip() == text
