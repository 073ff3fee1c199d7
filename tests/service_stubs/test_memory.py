"""What the stubs remember is bounded."""

from service_stubs.api_access import Caller
from service_stubs.jft_events import EventStore
from service_stubs.recording import Recorder
from service_stubs.single_use import Nonces, SingleUse

CALLER = Caller("310000001", "a", None)


def test_recorder_keeps_the_newest_by_number_and_size() -> None:
    """The oldest go first; the newest stays even if it alone is too large."""
    recorder: Recorder[int] = Recorder(max_records=3, max_bytes=100)
    for number in range(5):
        recorder.add(number, 10)
    assert list(recorder) == [2, 3, 4]
    recorder.add(5, 85)
    assert list(recorder) == [4, 5]
    recorder.add(6, 1000)
    assert list(recorder) == [6]


def test_event_store_forgets_the_oldest() -> None:
    """Fifty thousand events are kept."""
    store = EventStore()
    first = store.add("Bundle", "{}", CALLER, None, 0)
    for _ in range(50_000):
        last = store.add("Bundle", "{}", CALLER, None, 0)
    assert store.find("Bundle", first.id, "310000001") is None
    assert store.find("Bundle", last.id, "310000001") is last
    assert len(list(store)) == 50_000


def test_event_store_forgets_the_texts_of_the_oldest_first() -> None:
    """Their status is still known when no search finds them any more."""
    store = EventStore(max_events=4, max_text=100)
    events = [store.add("Bundle", '{"a": "' + "x" * 31 + '"}', CALLER, None, 0) for _ in range(4)]
    assert list(store.of_municipality("Bundle", "310000001")) == events[2:]
    assert store.find("Bundle", events[0].id, "310000001") is events[0]
    large = store.add("Bundle", '{"a": "' + "x" * 500 + '"}', CALLER, None, 0)
    assert list(store.of_municipality("Bundle", "310000001")) == [large]
    assert list(store) == [*events[1:], large]


def test_used_values_are_free_again_after_their_time() -> None:
    """A replay counts only as long as it could be accepted otherwise."""
    used = SingleUse()
    assert used.use("a", 0, 10)
    assert not used.use("a", 9, 10)
    assert used.use("a", 10, 10)


def test_expired_values_are_forgotten_when_there_are_too_many() -> None:
    """Neither memory grows without end."""
    used, nonces = SingleUse(max_remembered=2), Nonces(10, max_remembered=2)
    for number in range(5):
        assert used.use(str(number), number * 20, 10)
        nonces.issue(number * 20)
    assert len(used._until) <= 2
    assert len(nonces._until) <= 2
