"""The reading cursor: what nobody read is what would be lost, and every leaf is counted once."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from translators.contract import Coverage, Loss, Reason, Refused, Repair, Tree
from translators.source import MAX_FINDINGS, MAX_LEVELS, Cursor, Source

TREES: st.SearchStrategy[Tree] = st.recursive(
    st.none() | st.booleans() | st.sampled_from(["", "a", "b"]),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.sampled_from("abcd"), inner, max_size=3),
    max_leaves=20,
)


def _leaves(at: Cursor) -> list[Cursor]:
    return [at] if at.is_leaf else [leaf for below in at.children() for leaf in _leaves(below)]


def test_what_nobody_read_is_lost() -> None:
    """Each unread leaf is a loss with its place, in the order of the message."""
    source = Source({"a": "1", "b": [{"c": "2", "d": "3"}, {}], "e": []}, "Thing")
    losses, coverage = source.finish("not known here")
    assert losses == (
        Loss("Thing.a", "Thing.a", "not known here"),
        Loss("Thing.b[0].c", "Thing.b.c", "not known here"),
        Loss("Thing.b[0].d", "Thing.b.d", "not known here"),
        Loss("Thing.b[1]", "Thing.b", "not known here"),
        Loss("Thing.e", "Thing.e", "not known here"),
    )
    assert coverage == Coverage(leaves=5, lost=5)


def test_what_was_carried_is_not_lost() -> None:
    """Both ways of carrying mark the leaf, and the first gives its value."""
    source = Source({"a": "1", "b": "2", "c": "3"}, "Thing")
    first = source.root.children()[0]
    assert first.carry() == "1"
    source.root.carried_keys.add((id(source.root.value), "b"))
    losses, coverage = source.finish("x")
    assert [loss.path for loss in losses] == ["Thing.c"]
    assert coverage == Coverage(leaves=3, carried=2, lost=1)


def test_a_repaired_leaf_counts_once_however_often_it_is_touched() -> None:
    """Carried and then repaired, or repaired twice, it is one repaired leaf, with every rule on record."""
    source = Source({"a": "1"}, "Thing")
    at = source.root.children()[0]
    at.carry()
    at.repair("first")
    at.repair("second")
    losses, coverage = source.finish("x")
    assert losses == ()
    assert coverage == Coverage(leaves=1, repaired=1)
    assert source.repairs == [Repair("Thing.a", "first"), Repair("Thing.a", "second")]


def test_a_repair_of_an_object_reads_nothing_below_it() -> None:
    """To wrap an object in an array is not to have read what it says."""
    source = Source({"a": {"b": "1"}}, "Thing")
    source.root.children()[0].repair("object-wrapped-in-array")
    losses, coverage = source.finish("x")
    assert [loss.path for loss in losses] == ["Thing.a.b"]
    assert coverage == Coverage(leaves=1, lost=1)


def test_equal_values_in_two_places_are_two_leaves() -> None:
    """A place is told by where it stands, not by what stands there."""
    source = Source([{"a": "1"}, {"a": "1"}], "Thing")
    source.root.children()[0].children()[0].carry()
    losses, _ = source.finish("x")
    assert [loss.path for loss in losses] == ["Thing[1].a"]


def test_an_item_has_the_name_of_its_array() -> None:
    """So that a rule for an element holds for its items too."""
    (array,) = Source({"system": ["x"]}, "Coding").root.children()
    (item,) = array.children()
    assert (item.name, item.index, item.path, item.element) == ("system", 0, "Coding.system[0]", "Coding.system")


def test_an_element_is_named_from_the_innermost_resource() -> None:
    """A route tolerates the loss of an element wherever in a Bundle its resource stands."""
    tree: Tree = {"resourceType": "Bundle", "entry": [{"resource": {"resourceType": "Device", "udi": {"x": "1"}}}]}
    losses, _ = Source(tree, "Bundle").finish("x")
    assert losses[-1].path == "Bundle.entry[0].resource.udi.x"
    assert losses[-1].element == "Device.udi.x"


@pytest.mark.parametrize(
    "name", ["", "12834010060", "x12834y", "Kari Nordmann", "æ", "a.b", "a\n", "x" * 66, "__a", "[0]"]
)
def test_a_name_that_is_no_element_name_is_withheld(name: str) -> None:
    """A key can hold a patient's number or name as well as a value can."""
    losses, _ = Source({"resourceType": name, "a": {name: "1"}}, "Thing").finish("x")
    assert [loss.path for loss in losses] == ["Thing.resourceType", "Thing.a.(name withheld)"]
    assert [loss.element for loss in losses] == ["(name withheld).resourceType", "(name withheld).a.(name withheld)"]


@given(TREES, st.data())
def test_every_leaf_is_carried_repaired_or_lost(tree: Tree, data: st.DataObject) -> None:
    """Whatever a translator reads and in whatever order, the sum is right and the losses are what it left."""
    source = Source(tree, "Thing")
    leaves = _leaves(source.root)
    fates = {leaf.path: data.draw(st.sampled_from(["carry", "repair", "both", "leave"])) for leaf in leaves}
    for leaf in data.draw(st.permutations(leaves)):
        if fates[leaf.path] in ("carry", "both"):
            leaf.carry()
        if fates[leaf.path] in ("repair", "both"):
            leaf.repair("rule")
    losses, coverage = source.finish("x")
    assert coverage.leaves == len(leaves) == coverage.carried + coverage.repaired + coverage.lost
    assert [loss.path for loss in losses] == [path for path, fate in fates.items() if fate == "leave"]
    assert coverage.carried == sum(fate == "carry" for fate in fates.values())


def test_more_losses_than_can_be_listed_are_a_refusal() -> None:
    """The last that are listed, and one more."""
    losses, _ = Source(["x"] * MAX_FINDINGS, "Thing").finish("x")
    assert len(losses) == MAX_FINDINGS
    with pytest.raises(Refused, match="Thing: more than 1000 elements would be lost") as caught:
        Source(["x"] * (MAX_FINDINGS + 1), "Thing").finish("x")
    assert caught.value.reason is Reason.LOSS


def test_more_repairs_than_can_be_listed_are_a_refusal() -> None:
    """The last that are listed, and one more."""
    source = Source(["x"] * (MAX_FINDINGS + 1), "Thing")
    *listed, last = source.root.children()
    for at in listed:
        at.repair("rule")
    with pytest.raises(Refused, match="Thing: more than 1000 corrections would be needed"):
        last.repair("rule")


def test_a_loss_that_lies_too_deep_to_be_named_is_a_refusal() -> None:
    """A path has an end, however deep the part that nobody knows goes on."""

    def nested(levels: int) -> Tree:
        tree: Tree = "x"
        for _ in range(levels):
            tree = {"a": tree}
        return tree

    losses, _ = Source(nested(MAX_LEVELS), "Thing").finish("x")
    assert len(losses[0].path) == len("Thing") + 2 * MAX_LEVELS
    with pytest.raises(Refused, match="Thing: nested too deep"):
        Source(nested(MAX_LEVELS + 1), "Thing").finish("x")
