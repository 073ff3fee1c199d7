"""The rows of a copy's patients: written, and found by keyed hashes of what identifies them."""

import json
from collections.abc import Iterable, Iterator, Sequence
from operator import itemgetter
from typing import TypeVar

import msgspec
from sqlalchemy import (
    ColumnElement,
    Connection,
    ScalarSelect,
    and_,
    bindparam,
    delete,
    exists,
    func,
    insert,
    select,
    text,
)

from gateway.ledger import prepared
from gateway.ledger.tables import (
    REPLICA_FEED,
    REPLICA_GENERATION,
    REPLICA_IDENTIFIER,
    REPLICA_PATIENT,
    REPLICA_SERVICE,
)
from gateway.replica.patient_seal import PatientSeal, ReadyPatient, SealedPatient
from translators.fhir.moments import order_of

P, N, F, G, S = REPLICA_PATIENT.c, REPLICA_IDENTIFIER.c, REPLICA_FEED.c, REPLICA_GENERATION.c, REPLICA_SERVICE.c
T = TypeVar("T")
_SEALED = (P.municipality, P.resource, P.updated, P.patient, P.sealed)
_MOST_PARAMETERS = 500
"""Values in one statement."""
_MOST_OF_A_NUMBER = 50
"""Patients that one identifier finds at most: there should be one."""


class Standing(msgspec.Struct, frozen=True):
    """The state of the generation that answers."""

    generation: int
    maker: str
    fresh_at: float | None


def put_patients(
    connection: Connection, seal: PatientSeal, municipality: str, generation: int, patients: Sequence[ReadyPatient]
) -> int:
    """Write what changed of some patients into a generation, and return by how many it has grown.

    The newest of each is what counts; one that is no longer in use goes.
    """
    newest: dict[str, ReadyPatient] = {}
    for one in patients:
        before = newest.get(one.row.resource)
        if before is None or order_of(one.row.updated, before.row.updated) != -1:
            newest[one.row.resource] = one
    known = _known(connection, municipality, generation, list(newest))
    news = [one for one in newest.values() if (of := known.get(one.row.resource)) is None or seal.is_news(one, of[1])]
    gone = [known[one.row.resource][0] for one in news if one.row.resource in known]
    changed = [one for one in news if one.is_in_use]
    for rows in _batches(gone):
        connection.execute(delete(REPLICA_IDENTIFIER).where(N.row.in_(rows)))
        connection.execute(delete(REPLICA_PATIENT).where(P.id.in_(rows)))
    if changed:
        _insert(connection, municipality, generation, changed)
    return len(changed) - len(gone)


def _known(
    connection: Connection, municipality: str, generation: int, resources: list[str]
) -> dict[str, tuple[int, SealedPatient]]:
    """Return those of some patients (hashes of their ids) whom a generation has, each with its row."""
    dialect = connection.dialect.name
    among = json.dumps(resources) if dialect == "sqlite" else resources
    values = {"municipality": municipality, "generation": generation, "resources": among}
    found = connection.execute(_KNOWN[dialect], values)
    return {row[2]: (row[0], SealedPatient(*row[1:])) for row in found}


def _insert(connection: Connection, municipality: str, generation: int, patients: Sequence[ReadyPatient]) -> None:
    of = {"municipality": municipality, "generation": generation}
    rows, found = [], []
    for number, (one, hashes, *_) in zip(_new_rows(connection, len(patients)), patients, strict=True):
        its = {"resource": one.resource, "patient": one.patient, "updated": one.updated, "sealed": one.sealed}
        rows.append({**of, "id": number, **its})
        found += [{**of, "row": number, "hash": each, "is_first": each == one.patient} for each in hashes]
    prepared.each(connection, _PATIENTS, rows)
    # In the order of the tree: neighbours are written together.
    prepared.each(connection, _IDENTIFIERS, sorted(found, key=itemgetter("hash")))


_AMONG = {
    "sqlite": "resource IN (SELECT value FROM json_each(:resources))",
    "postgresql": "resource = ANY(CAST(:resources AS text[]))",
}
_KNOWN = {
    dialect: text(
        "SELECT id, municipality, resource, updated, patient, sealed FROM replica_patient "  # noqa: S608 - no value stands in it
        f"WHERE municipality = :municipality AND generation = :generation AND {among}"
    )
    for dialect, among in _AMONG.items()
}
"""All of them are one value: to write a statement for so many takes longer than to answer it."""
_PATIENTS, _IDENTIFIERS = insert(REPLICA_PATIENT), insert(REPLICA_IDENTIFIER)
_NEW_ROWS = {
    "sqlite": text("SELECT seq FROM sqlite_sequence WHERE name = 'replica_patient'"),
    "postgresql": text(
        "SELECT nextval(pg_get_serial_sequence('replica_patient', 'id')) FROM generate_series(1, :count)"
    ),
}


def _new_rows(connection: Connection, count: int) -> Sequence[int]:
    """Return ids for new rows: asked for before, many rows are written at once, since nothing has to come back of each."""
    found = connection.execute(_NEW_ROWS[connection.dialect.name], {"count": count})
    if connection.dialect.name == "postgresql":
        return [*found.scalars()]
    last = found.scalar_one_or_none() or 0  # this transaction is the only one that writes
    return range(last + 1, last + count + 1)


def missing(connection: Connection, municipality: str, before: int, generation: int) -> list[str]:
    """Return when those patients last changed whom the generation before has, and this one has not."""
    other = REPLICA_PATIENT.alias()
    is_there = exists().where(
        other.c.municipality == municipality, other.c.generation == generation, other.c.resource == P.resource
    )
    return list(connection.scalars(select(P.updated).where(*_in(municipality, before), ~is_there)))


def count_of(connection: Connection, municipality: str, generation: int) -> int:
    """Return how many patients a generation has."""
    return connection.execute(select(func.count()).where(*_in(municipality, generation))).scalar_one()


def last_generation(connection: Connection, municipality: str) -> int:
    """Return the last generation that has rows; 0 where none has."""
    found = connection.execute(select(func.max(P.generation)).where(P.municipality == municipality)).scalar_one()
    return int(found or 0)


_STANDING = (F.serving, G.maker, G.fresh_at)
_ANSWERS = (
    (F.source == "pit") & (G.municipality == F.municipality) & (G.source == F.source) & (G.generation == F.serving)
)
_FOUND = (
    select(*_STANDING, P.id, *_SEALED)
    .select_from(REPLICA_FEED)
    .join(REPLICA_GENERATION, _ANSWERS)
    .outerjoin(
        REPLICA_IDENTIFIER,
        (N.municipality == F.municipality) & (N.generation == F.serving) & (N.hash == bindparam("hash")),
    )
    .outerjoin(REPLICA_PATIENT, P.id == N.row)
    .where(F.municipality == bindparam("municipality"))
    .limit(_MOST_OF_A_NUMBER)
)


class Match(msgspec.Struct, frozen=True):
    """A patient that was found, and the row that it stands in."""

    row: int
    patient: SealedPatient


def find(connection: Connection, municipality: str, identifier: str) -> tuple[Standing | None, list[Match]]:
    """Return the patients that an identifier (a hash) finds, and the generation that says so: none where no copy answers yet."""
    rows = prepared.rows(connection, _FOUND, {"municipality": municipality, "hash": identifier})
    if not rows:
        return None, []
    matches = [Match(row[3], SealedPatient(*row[4:])) for row in rows if row[3] is not None]
    return Standing(*rows[0][:3]), matches


def find_by_id(connection: Connection, municipality: str, resource: str) -> tuple[Standing | None, list[Match]]:
    """Return the patient whom PIT knows by an id (a hash), likewise."""
    told = standing(connection, municipality)
    if told is None:
        return None, []
    where = (*_in(municipality, told.generation), P.resource == resource)
    rows = connection.execute(select(P.id, *_SEALED).where(*where))
    return told, [Match(row[0], SealedPatient(*row[1:])) for row in rows]


def standing(connection: Connection, municipality: str) -> Standing | None:
    """Return the generation that answers; None before the first does."""
    statement = select(*_STANDING).select_from(REPLICA_FEED).join(REPLICA_GENERATION, _ANSWERS)
    row = connection.execute(statement.where(F.municipality == municipality)).one_or_none()
    return None if row is None else Standing(*row)


def found_by(
    connection: Connection, municipality: str, generation: int, identifiers: Iterable[str]
) -> Iterator[SealedPatient]:
    """Go through the patients that any of many identifiers (hashes) find, each once, in the order of their ids."""
    rows: set[int] = set()
    for some in _batches(list(identifiers)):
        of = (N.municipality == municipality, N.generation == generation, N.hash.in_(some))
        rows.update(connection.scalars(select(N.row).where(*of)))
    for many in _batches(sorted(rows)):
        for row in connection.execute(select(*_SEALED).where(P.id.in_(many)).order_by(P.id)):
            yield SealedPatient(*row)


def hashes_of(connection: Connection, match: Match) -> Iterator[str]:
    """Go through everything that a patient is found by, the number that it is best known by first; the rest is read when it is wanted."""
    best = match.patient.patient
    if best is not None:
        yield best
    others = list(connection.scalars(select(N.hash).where(N.row == match.row).order_by(N.hash)))
    yield from (one for one in others if one != best)


class CopiedNumbers:
    """The national numbers of a copy's patients, by the hashes that their services are kept under."""

    def __init__(self, seal: PatientSeal) -> None:
        self._seal = seal

    def after(self, connection: Connection, municipality: str, patient: str, most: int) -> list[tuple[str, str]]:
        """Return the next patients in the order of their hashes, each hash with its number."""
        return self._some(connection, municipality, (N.hash > patient,), most)

    def unanswered(self, connection: Connection, municipality: str, since: float) -> dict[str, float | None]:
        """Return the patients whom OKT has told nothing of since a time, each with when it last did; in the order of their hashes."""
        told = select(S.patient, func.max(S.seen_at).label("seen_at"))
        by = told.where(S.municipality == municipality, S.source == "okt").group_by(S.patient).subquery()
        of = _first(municipality)
        statement = select(N.hash, by.c.seen_at).outerjoin(by, by.c.patient == N.hash).order_by(N.hash)
        lacking = by.c.seen_at.is_(None) | (by.c.seen_at < since)
        return {row[0]: row[1] for row in connection.execute(statement.where(*of, lacking))}

    def named(self, connection: Connection, municipality: str, patients: Sequence[str]) -> list[tuple[str, str]]:
        """Return patients (hashes) with their numbers."""
        return self._some(connection, municipality, (N.hash.in_(patients),), len(patients))

    def count(self, connection: Connection, municipality: str) -> int:
        """Return how many patients have a number."""
        return connection.execute(select(func.count(N.hash.distinct())).where(*_first(municipality))).scalar_one()

    def has(self, connection: Connection, municipality: str, patient: str) -> bool:
        """Whether a hash is that of one of them."""
        where = (*_first(municipality), N.hash == patient)
        return bool(connection.execute(select(exists().where(*where))).scalar_one())

    def is_there(self, connection: Connection, municipality: str) -> bool:
        """Whether the copy has been complete, so that who is not in it is not known."""
        return standing(connection, municipality) is not None

    def same(self, connection: Connection, municipality: str, patient: str) -> list[str]:
        """Return the hashes of everything that whom a hash names is found by, that hash first: people have several numbers. None where nobody is."""
        of = (N.municipality == municipality, N.generation == _serving(municipality))
        rows = select(N.row).where(*of, N.hash == patient)
        found = list(connection.scalars(select(N.hash).where(N.row.in_(rows))))
        return list(dict.fromkeys([patient, *found])) if found else []

    def best(self, connection: Connection, municipality: str, patients: Sequence[str]) -> list[str]:
        """Return those of some hashes by which patients of the copy are best known: what OKT says is kept by these, until somebody is known by another."""
        found: set[str] = set()
        for some in _batches(patients):
            found.update(connection.scalars(select(N.hash).where(*_first(municipality), N.hash.in_(some))))
        return [one for one in patients if one in found]

    def named_by_any(self, connection: Connection, municipality: str, identifiers: Sequence[str]) -> list[str]:
        """Return by which hashes those are best known whom any number of theirs names, each once; nobody whom the copy does not have."""
        found: dict[str, None] = {}
        named = REPLICA_IDENTIFIER.alias()
        same = (named.c.municipality == N.municipality, named.c.generation == N.generation, named.c.row == N.row)
        for some in _batches(identifiers):
            statement = select(N.hash).join(named, and_(*same)).where(*_first(municipality), named.c.hash.in_(some))
            found |= dict.fromkeys(connection.scalars(statement.order_by(N.hash)))
        return list(found)

    def lacking(self, connection: Connection, municipality: str) -> int:
        """Count those whom the file of services names and the copy does not have."""
        is_there = exists().where(
            N.municipality == municipality, N.generation == _serving(municipality), N.hash == S.patient
        )
        where = (S.municipality == municipality, S.source == "file", ~is_there)
        return connection.execute(select(func.count(S.patient.distinct())).where(*where)).scalar_one()

    def of_identifier(self, connection: Connection, municipality: str, system: str, value: str) -> list[str]:
        """Return the hash of whom the record system's own number names; none where it names several."""
        of = (N.municipality == municipality, N.generation == _serving(municipality))
        identifier = self._seal.hash_of(municipality, system, value)
        rows = select(N.row).where(*of, N.hash == identifier)
        found = list(connection.scalars(select(P.patient).where(P.id.in_(rows)).distinct()))
        return [one for one in found if one is not None] if len(found) == 1 else []

    def _some(
        self, connection: Connection, municipality: str, where: tuple[ColumnElement[bool], ...], most: int
    ) -> list[tuple[str, str]]:
        of = (*_first(municipality), *where)
        statement = (
            select(N.hash, *_SEALED).join(REPLICA_PATIENT, P.id == N.row).where(*of).order_by(N.hash).limit(most)
        )
        found = {row[0]: self._seal.number_of(SealedPatient(*row[1:])) for row in connection.execute(statement)}
        return [(patient, number) for patient, number in found.items() if number is not None]


def _serving(municipality: str) -> ScalarSelect[int]:
    return select(F.serving).where(F.municipality == municipality, F.source == "pit").scalar_subquery()


def _first(municipality: str) -> tuple[ColumnElement[bool], ColumnElement[bool], ColumnElement[bool]]:
    """Return what says which identifiers are the numbers by which the patients of what answers are best known."""
    return N.municipality == municipality, N.generation == _serving(municipality), N.is_first


def _in(municipality: str, generation: int) -> tuple[ColumnElement[bool], ColumnElement[bool]]:
    return P.municipality == municipality, P.generation == generation


def _batches(items: Sequence[T]) -> Iterator[Sequence[T]]:
    for start in range(0, len(items), _MOST_PARAMETERS):
        yield items[start : start + _MOST_PARAMETERS]
