"""Indexes follow a feed: whatever happened and whoever published, a view answers as one fresh index would."""

import json
import threading
from pathlib import Path
from tempfile import TemporaryDirectory

import numpy as np
import pytest
from hypothesis import settings
from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, invariant, precondition, rule

from rag.errors import WrongSetting
from rag.indexes import snapshots
from rag.indexes.snapshots import Indexes
from rag.indexes.views import View
from rag.keywords.analysis import analyse
from rag.keywords.exact import ExactKeywords
from rag.types import Ranking
from rag.vectors import faiss, tuning
from tests.feeds import NONE, MemoryFeed, allowed, nearest, unit

DIM = 4
WORDS = ["river", "bank", "money", "fish", "boat", "loan", "water", "tree"]
QUESTIONS = ["river bank", "fish", "money loan money", "tree house"]
VECTORS = np.stack([unit([1, 2, 0, -1]), unit([0, 1, 1, 0])])

directions = st.lists(st.integers(-2, 2), min_size=DIM, max_size=DIM).filter(any).map(unit)
texts = st.lists(st.sampled_from(WORDS), min_size=1, max_size=12).map(" ".join)


def filled(count: int, seed: int = 0) -> MemoryFeed:
    """A feed of `count` chunks that came in two transactions, every seventh gone again in a third."""
    random = np.random.default_rng(seed)
    feed = MemoryFeed(DIM)
    rows = [
        (3 * i + 1, unit(random.standard_normal(DIM)), " ".join(random.choice(WORDS, random.integers(1, 30))))
        for i in range(count)
    ]
    feed.commit(rows[: count // 2])
    feed.commit(rows[count // 2 :])
    feed.commit(removed=[chunk for chunk, _, _ in rows[::7]])
    return feed


def indexes(folder: Path, feed: MemoryFeed, fingerprint: str = "test/1", **backends: str) -> Indexes:
    return Indexes(folder, feed, fingerprint=fingerprint, **backends)


def plain(rankings: list[Ranking]) -> list[list[tuple[int, float]]]:
    return [[(hit.chunk_id, hit.score) for hit in ranking] for ranking in rankings]


def order(rankings: list[Ranking]) -> list[list[int]]:
    return [[hit.chunk_id for hit in ranking] for ranking in rankings]


def assert_right(view: View, feed: MemoryFeed, k: int = 5) -> None:
    """The view holds what is alive at its position, and dense search among it is the obvious one."""
    alive = feed.live_ids(view.position)
    rows = {int(chunk): feed.rows[int(chunk)].vector for chunk in alive}
    assert view.vectors.ids().tolist() == alive.tolist() == view.keywords.ids().tolist()
    assert len(view.vectors) == len(view.keywords) == len(alive)
    assert view.vectors.position == view.keywords.position == view.position
    everything = allowed(feed.rows)  # the removed ones too: a view does not rely on the permitted set for them
    some = allowed([chunk for chunk in feed.rows if chunk % 2])
    terms = [analyse(question) for question in QUESTIONS]
    for may in (everything, some):
        found = view.vectors.search(VECTORS, k, may)
        assert plain(found) == [nearest(query, rows, k, may.chunks) for query in VECTORS]
        for query, ranking in zip(terms, view.keywords.search(terms, len(feed.rows) + 1, may), strict=True):
            holding = {
                chunk for chunk in rows if chunk in may.chunks and set(query) & set(analyse(feed.rows[chunk].text))
            }
            assert {hit.chunk_id for hit in ranking} == holding
            assert ranking == sorted(ranking, key=lambda hit: (-hit.score, hit.chunk_id))
            assert [hit.parts["bm25"].rank for hit in ranking] == list(range(1, len(ranking) + 1))


class History(RuleBasedStateMachine):
    """Adds, removals, publications, restarts in any order, seen by two readers."""

    def __init__(self) -> None:
        super().__init__()
        self.folder = TemporaryDirectory()
        self.feed = MemoryFeed(DIM)
        self.readers = [self.start(), self.start()]
        self.next_id = 5

    def start(self) -> Indexes:
        return indexes(Path(self.folder.name), self.feed)

    @rule(rows=st.lists(st.tuples(directions, texts), min_size=1, max_size=6), gap=st.integers(1, 40))
    def add(self, rows: list[tuple[np.ndarray, str]], gap: int) -> None:
        self.feed.commit([(self.next_id + i * gap, row, text) for i, (row, text) in enumerate(rows)])
        self.next_id += len(rows) * gap

    @precondition(lambda self: len(self.feed.live_ids(self.feed.now)))
    @rule(data=st.data())
    def remove(self, data: st.DataObject) -> None:
        alive = self.feed.live_ids(self.feed.now).tolist()
        self.feed.commit(removed=data.draw(st.lists(st.sampled_from(alive), unique=True, min_size=1)))

    @rule(who=st.sampled_from([0, 1]), rebuild=st.booleans())
    def publish(self, who: int, rebuild: bool) -> None:
        number = self.readers[who].publish(rebuild=rebuild)
        assert number is not None
        assert self.readers[who].view().generation == number
        assert self.readers[1 - who].check() == []

    @rule(who=st.sampled_from([0, 1]))
    def restart(self, who: int) -> None:
        self.readers[who] = self.start()

    @rule(who=st.sampled_from([0, 1]))
    def look(self, who: int) -> None:
        view = self.readers[who].view()
        assert view.position == self.feed.now
        assert_right(view, self.feed)

    @invariant()
    def nothing_is_damaged(self) -> None:
        assert [reader.damage for reader in self.readers] == [(), ()]

    def teardown(self) -> None:
        for who in (0, 1):
            self.look(who)
        self.folder.cleanup()


History.TestCase.settings = settings(max_examples=12, stateful_step_count=12, deadline=None)
TestHistory = History.TestCase


def test_every_pair_of_backends_follows(tmp_path: Path) -> None:
    for vectors in ("exact", "faiss"):
        for keywords in ("exact",):
            feed = filled(60)
            ours = indexes(tmp_path / vectors / keywords, feed, vectors=vectors, keywords=keywords)
            assert_right(ours.view(), feed)
            ours.publish()
            feed.commit([(999, unit([1, 1, 1, 1]), "river fish")], removed=[4])
            assert_right(ours.view(), feed)
            assert ours.publish() == 2
            assert ours.check() == []
            assert_right(ours.view(), feed)


def test_publishing_changes_no_ranking(tmp_path: Path) -> None:
    """All in memory, all on disk, and half and half without removals: the same words weigh the same."""
    feed = filled(80)
    ours = indexes(tmp_path, feed)
    terms, may = [analyse(question) for question in QUESTIONS], allowed(feed.rows)
    before, view = ours.view().keywords.search(terms, 20, may), ours.view()
    dense = view.vectors.search(VECTORS, 20, may)
    assert ours.publish() == 1
    after = ours.view()
    assert (view.generation, after.generation) == (0, 1)
    assert order(after.keywords.search(terms, 20, may)) == order(before)
    assert after.vectors.search(VECTORS, 20, may) == dense
    for ranking, same in zip(after.keywords.search(terms, 20, may), before, strict=True):
        assert [hit.score for hit in ranking] == pytest.approx([hit.score for hit in same], rel=1e-5)


def test_a_chunk_scores_the_same_in_the_snapshot_and_in_the_tail(tmp_path: Path) -> None:
    feed = MemoryFeed(DIM)
    feed.commit([(i, unit([1, 0, 0, 0]), text) for i, text in enumerate(["river bank", "money", "fish fish bank"] * 5)])
    ours = indexes(tmp_path, feed)
    ours.publish()
    feed.commit([(100 + i, unit([1, 0, 0, 0]), text) for i, text in enumerate(["river bank", "money"])])
    view = ours.view()
    may = allowed(feed.rows)
    [found] = view.keywords.search([analyse("bank river")], 30, may)
    twins = [hit for hit in found if hit.chunk_id in (0, 3, 6, 9, 12, 100)]
    assert [hit.chunk_id for hit in twins] == [0, 3, 6, 9, 12, 100]
    assert len({hit.score for hit in twins}) == 1
    assert view.keywords.statistics().documents == 17
    assert view.keywords.statistics().frequency("river") == 6


def test_a_view_stays_what_it_was(tmp_path: Path) -> None:
    feed = filled(50)
    ours = indexes(tmp_path, feed)
    ours.publish()
    unopened, opened = ours.view(), indexes(tmp_path, feed).view()
    assert_right(opened, feed)
    answers = opened.vectors.search(VECTORS, 9, allowed(feed.rows))
    for number in range(3):  # until the generation under the views is cleared away
        feed.commit([(1_000 + number, unit([1, 2, 0, -1]), "river")], removed=[int(feed.live_ids(feed.now)[0])])
        ours.publish(rebuild=True)
    assert opened.vectors.search(VECTORS, 9, allowed(feed.rows)) == answers
    assert_right(opened, feed)
    assert_right(unopened, feed)
    assert ours.damage == ()


def test_nothing_is_read_when_nothing_moved(tmp_path: Path) -> None:
    feed = filled(50)
    ours = indexes(tmp_path, feed)
    view = ours.view()
    assert_right(view, feed)
    reads = feed.reads
    assert ours.view() is view
    assert feed.reads == reads
    feed.commit([(1_000, unit([1, 2, 0, -1]), "river")])
    moved = ours.view()
    assert_right(moved, feed)
    assert feed.reads == reads + 1  # one step, read once for both indexes


def test_only_what_is_used_is_opened(tmp_path: Path) -> None:
    feed = filled(50)
    ours = indexes(tmp_path, feed)
    ours.publish()
    for path in tmp_path.glob("*/*/vectors/vectors.faiss"):
        path.write_bytes(b"")
    fresh = indexes(tmp_path, feed)
    assert fresh.view().keywords.search([analyse("river")], 3, allowed(feed.rows)) != [[]]
    assert fresh.damage == ()


def test_many_threads_read_while_one_publishes(tmp_path: Path) -> None:
    feed = filled(60)
    ours = indexes(tmp_path, feed)
    done, problems = threading.Event(), []

    def read() -> None:
        last = 0
        try:
            while not done.is_set():
                view = ours.view()
                assert view.position >= last
                last = view.position
                assert_right(view, feed)
        except BaseException as error:
            problems.append(error)

    readers = [threading.Thread(target=read) for _ in range(4)]
    for reader in readers:
        reader.start()
    try:
        for number in range(8):
            assert ours.publish() is not None
            # one transaction, committed in one assignment as a database would
            rows = dict(feed.rows)
            later = MemoryFeed(DIM, rows, feed.now)
            later.commit([(1_000 + number, unit([1, 2, 0, -1]), "river bank")])
            feed.rows, feed.now = later.rows, later.now
    finally:
        done.set()
        for reader in readers:
            reader.join()
    assert problems == []
    assert ours.view().position == feed.now


def test_removed_chunks_leave_the_statistics_in_time(tmp_path: Path) -> None:
    feed = filled(100)
    ours = indexes(tmp_path, feed)
    ours.publish()
    gone = feed.live_ids(feed.now)[: int(1.2 * snapshots.DEAD * 100)].tolist()
    feed.commit(removed=gone)
    ours.publish()
    fresh = ExactKeywords()
    alive = feed.live_ids(feed.now)
    fresh.apply(alive, [analyse(feed.rows[int(chunk)].text) for chunk in alive], NONE, 1)
    told, exact = ours.view().keywords.statistics(), fresh.statistics()
    assert (told.documents, told.average_length) == (exact.documents, pytest.approx(exact.average_length))
    assert [told.frequency(word) for word in WORDS] == [exact.frequency(word) for word in WORDS]


def test_due_when_the_tail_has_grown(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(snapshots, "FIRST", 20)
    monkeypatch.setattr(snapshots, "TAIL", 10)
    feed = MemoryFeed(DIM)
    ours = indexes(tmp_path, feed)
    row = unit([1, 0, 0, 0])
    feed.commit([(i, row, "fish") for i in range(20)])
    assert not ours.due(ours.view())
    feed.commit([(20, row, "fish")])
    assert ours.due(ours.view())
    assert_right(ours.view(), feed)
    assert ours.due(ours.view())  # counted from what is open, as well as from the feed
    ours.publish()
    assert not ours.due(ours.view())
    feed.commit([(30 + i, row, "fish") for i in range(6)], removed=[1, 2, 3, 4])
    assert not ours.due(ours.view())
    feed.commit(removed=[5])
    assert ours.due(ours.view())


def test_tuning_makes_a_generation_and_tells_of_itself(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(faiss, "FEW", 10)
    monkeypatch.setattr(faiss, "LISTS_FROM", 100)
    asked, feed = [0.9], filled(150)
    ours = Indexes(tmp_path, feed, fingerprint="test/1", recall=lambda: asked[0])
    assert ours.told() is None
    assert ours.publish() == 1
    told = ours.told()
    assert told is not None
    assert (told.generation, told.chunks) == (1, len(feed.live_ids(feed.now)))
    assert (told.tuning.form, told.tuning.asked, told.tuning.learnt) == ("lists", 0.9, told.chunks)
    assert {(step.share, step.k) for step in told.tuning.steps} == {
        (s, k) for s in tuning.SHARES for k in tuning.DEPTHS
    }
    assert all(step.recall >= 0.9 for step in told.tuning.steps)
    assert told.sizes["vectors/rows.f32"] == told.chunks * DIM * 4
    asked[0] = 1.0
    assert ours.publish() == 1  # nothing to fold
    assert ours.publish(tune=True) == 2
    told = ours.told()
    assert told is not None
    assert (told.tuning.form, told.tuning.asked) == ("exact", 1.0)
    assert_right(ours.view(), feed)
    assert ours.check() == []


def test_an_index_grows_in_its_lists_and_is_learnt_anew_when_it_has_doubled(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(faiss, "FEW", 10)
    monkeypatch.setattr(faiss, "LISTS_FROM", 100)
    random, feed = np.random.default_rng(3), MemoryFeed(32)
    ours, learnt = indexes(tmp_path, feed), []
    for count, gone in ((120, 0), (40, 10), (30, 60), (200, 0)):
        first, alive = len(feed.rows), feed.live_ids(feed.now)[:gone].tolist()
        feed.commit([(first + i, unit(random.standard_normal(32)), "river") for i in range(count)], alive)
        ours.publish()
        told = ours.told()
        assert told is not None
        learnt.append(told.tuning.learnt)
        assert ours.check() == []
    assert learnt == [120, 120, 120, 320]  # of 120, 150, 120 and 70 removed ones, 320


def test_nothing_to_fold_makes_no_generation(tmp_path: Path) -> None:
    ours = indexes(tmp_path, filled(20))
    assert (ours.publish(), ours.publish(), ours.publish(rebuild=True)) == (1, 1, 2)
    assert sorted(path.name for path in tmp_path.glob("*/0*")) == ["0000000001", "0000000002"]


def test_an_empty_collection_is_published_and_searched(tmp_path: Path) -> None:
    feed = MemoryFeed(DIM)
    feed.commit()
    ours = indexes(tmp_path, feed)
    assert ours.publish() == 1
    assert ours.check() == []
    assert_right(ours.view(), feed)
    feed.commit([(1, unit([1, 0, 0, 0]), "river")])
    assert_right(ours.view(), feed)
    ours.publish()
    feed.commit(removed=[1])
    ours.publish()
    assert_right(ours.view(), feed)
    assert ours.check() == []


def test_another_fingerprint_is_another_index(tmp_path: Path) -> None:
    feed = filled(40)
    indexes(tmp_path, feed, "model/1").publish()
    other = indexes(tmp_path, feed, "model/2")
    assert (other.view().generation, other.damage) == (0, ())
    assert other.publish() == 1
    assert indexes(tmp_path, feed, "model/1").view().generation == 1
    names = sorted(path.name for path in tmp_path.iterdir())
    assert [name[:8] for name in names] == ["model-1-", "model-2-"]
    moved = tmp_path / names[1]
    for path in sorted(moved.rglob("*"), reverse=True):
        path.unlink() if path.is_file() else path.rmdir()
    moved.rmdir()
    (tmp_path / names[0]).rename(moved)
    wrong = indexes(tmp_path, feed, "model/2")
    assert_right(wrong.view(), feed)
    assert wrong.view().generation == 0
    assert "another fingerprint" in wrong.damage[0]
    assert "another fingerprint" in wrong.check()[0]
    assert wrong.publish() == 2
    assert (wrong.check(), wrong.view().generation, wrong.damage) == ([], 2, ())


def test_check_tells_what_sql_and_index_disagree_on(tmp_path: Path) -> None:
    feed = filled(30)
    ours = indexes(tmp_path, feed)
    ours.publish()
    assert ours.check() == []
    lost, extra = int(feed.live_ids(feed.now)[3]), 1_000
    feed.rows[extra] = feed.rows.pop(lost)
    assert ours.check() == [
        f"the {part} index {what}"
        for part in ("vector", "keyword")
        for what in (f"lacks 1 chunks, chunk {extra} first", f"still holds 1 chunks, chunk {lost} first")
    ]
    feed.now = 2
    assert ["older database" in problem for problem in ours.check()] == [True]
    assert_right(indexes(tmp_path, feed).view(), feed)


def test_check_tells_of_vectors_that_are_not_of_length_one(tmp_path: Path) -> None:
    feed = MemoryFeed(DIM)
    feed.commit([(1, unit([1, 0, 0, 0]), "a"), (2, np.array([2, 0, 0, 0], np.float32), "b"), (3, np.zeros(4), "c")])
    ours = indexes(tmp_path, feed)
    ours.publish()
    assert ours.check() == [f"the vector of chunk {chunk} is not of length 1" for chunk in (2, 3)]


def test_a_manifest_says_what_the_files_are(tmp_path: Path) -> None:
    feed = filled(30)
    indexes(tmp_path, feed).publish()
    [path] = tmp_path.glob("*/0000000001/manifest.json")
    told = json.loads(path.read_text())
    assert (told["position"], told["chunks"], told["number"]) == (feed.now, len(feed.live_ids(feed.now)), 1)
    assert told["kind"]["fingerprint"] == "test/1"
    held = {file.relative_to(path.parent).as_posix(): file.stat().st_size for file in path.parent.rglob("*.*")}
    assert {name: size for name, (size, _) in told["files"].items()} == {
        name: size for name, size in held.items() if name != "manifest.json"
    }


def test_an_unknown_backend_is_refused(tmp_path: Path) -> None:
    with pytest.raises(WrongSetting, match="no vector index is called"):
        indexes(tmp_path, MemoryFeed(DIM), vectors="abacus")
    with pytest.raises(WrongSetting, match="no keyword index is called"):
        indexes(tmp_path, MemoryFeed(DIM), keywords="abacus")
