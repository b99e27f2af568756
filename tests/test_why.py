"""`why` names the stage that lost a document, for a document made to fail at each stage in turn, on both databases."""

from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace
from pathlib import Path

import numpy as np
import pytest
from numpy.typing import NDArray

from rag import embedders
from rag.access import Access, PermittedChunks
from rag.corpus import Corpus, Origin, open_corpus
from rag.errors import NotFound, WrongFilter, WrongUsage
from rag.indexes.snapshots import Indexes
from rag.prompt import pack
from rag.search import Fusion, OpenCollection, Refining, Search
from rag.store.database import Connection, Database
from rag.store.filters.tree import Filter
from rag.store.vectors import CollectionFeed
from rag.types import Embedder, Message, Metadata, Passage, Principal, Prompt
from rag.why import Pack, Why, why

MB = 2**20
WORDS = [f"word{number}" for number in range(120)]
TEXTS = {
    "otters.txt": "Sea otters hold hands while they sleep in the kelp.",
    "tides.txt": "The tide rises twice a day, and the moon pulls the water.",
    "bread.txt": "Bread rises in the oven when the yeast is warm.",
    "whales.txt": "Whales sleep near the surface. Whales breathe air.",
}


@pytest.fixture(scope="module")
def embedder(tmp_path_factory: pytest.TempPathFactory) -> Embedder:
    return embedders.load("hashing:512", models_dir=tmp_path_factory.mktemp("models"))


@dataclass
class House:
    """A folder, the collection that takes it in, and questions about what became of its files."""

    corpus: Corpus
    folder: Path
    opened: OpenCollection

    def put(self, name: str, text: str, *, labels: Sequence[str] = (), **metadata: object) -> None:
        (self.folder / name).write_text(text)
        given: Metadata = metadata  # type: ignore[assignment]
        self.corpus.add_paths([self.folder / name], Origin("local", given, frozenset(labels)), max_bytes=MB)

    def uri(self, name: str) -> str:
        return (self.folder / name).as_uri()

    def asker(self, *labels: str) -> Principal:
        return Principal(self.corpus.collection.tenant_id, "ann", frozenset(labels) if labels else None)

    def why(self, query: str, name: str, *, asker: Principal | None = None, **changes: object) -> Why:
        asked = Search(query, **({"k": 2} | changes.pop("asked", {})))  # type: ignore[arg-type, operator, call-overload]
        named = self.uri(name) if name in TEXTS or (self.folder / name).exists() else name
        return why(self.opened, asked, named, asker or self.asker(), **changes)  # type: ignore[arg-type]


def build(database: Database, embedder: Embedder, folder: Path, **dedup: str) -> House:
    (folder / "docs").mkdir()
    corpus = open_corpus(database, "default", "default", embedder, chunk_tokens=64, overlap_tokens=0, dedup={**dedup})
    indexes = folder / "indexes"
    indexes.mkdir()
    feed = CollectionFeed(database, corpus.collection)
    opened = OpenCollection(
        database,
        corpus.collection,
        Indexes(indexes, feed, fingerprint=corpus.collection.fingerprint),
        Access(),
        lambda: embedder,
    )
    house = House(corpus, folder / "docs", opened)
    for name, text in TEXTS.items():
        house.put(name, text)
    return house


@pytest.fixture
def house(database: Database, embedder: Embedder, tmp_path: Path) -> House:
    return build(database, embedder, tmp_path)


def words(messages: Sequence[Message]) -> int:
    return sum(len(message.content.split()) for message in messages)


def prompt(context: int) -> Pack:
    def packed(passages: Sequence[Passage]) -> Prompt:
        return pack("?", passages, count_tokens=words, context_tokens=context, max_tokens=10)

    return packed


class Late(Access):
    """Documents go when the permitted set was read so many times."""

    def __init__(self, times: int, go: Callable[[], object]) -> None:
        super().__init__()
        self.times, self.go = times, go

    def permitted(
        self,
        connection: Connection,
        principal: Principal,
        collection_id: int,
        where: Filter | None = None,
        at: int | None = None,
    ) -> PermittedChunks:
        found = super().permitted(connection, principal, collection_id, where, at)
        self.times -= 1
        if not self.times:
            self.go()
        return found


def test_what_goes_meanwhile_has_the_rank_that_it_had(house: House) -> None:
    for times in (1, 2, 3):
        house.put(f"brief{times}.txt", f"otters sleep for a moment {times}")
        gone = house.why("otters sleep", f"brief{times}.txt").document_id
        assert gone is not None
        late = Late(times, lambda gone=gone: house.corpus.remove([gone], actor="local"))  # type: ignore[misc]
        opened = replace(house.opened, access=late)
        answer = why(opened, Search("otters sleep", 1), house.uri("bread.txt"), house.asker())
        assert late.times <= 0, "what the test is about"
        assert (answer.stage, answer.arms[0].among) == ("cut", 5 if times == 3 else 4)


# ── one stage after the other ───────────────────────────────────────────────────────────────────────────────────────


def test_found_says_where(house: House) -> None:
    answer = house.why("otters sleep in kelp", "otters.txt", pack=prompt(2000))
    assert (answer.stage, answer.rank, answer.title) == ("found", 1, "otters.txt")
    assert (answer.start, answer.end) == (0, len(TEXTS["otters.txt"]))
    assert list(answer.parts) == ["dense", "bm25", "fused"]
    assert [(arm.arm, arm.rank, arm.among) for arm in answer.arms] == [("dense", 1, 4), ("bm25", 1, 4)]
    by_id = house.why("otters sleep in kelp", str(answer.document_id))
    assert by_id == replace(answer, stages=by_id.stages)


def test_a_document_that_may_not_be_seen_does_not_exist(house: House) -> None:
    house.put("secret.txt", "Otters that sleep have a secret.", labels=["staff"])
    staff, guest = house.asker("staff"), house.asker("guest")
    assert house.why("otters sleep", "secret.txt", asker=staff).stage == "found"
    told = house.why("otters sleep", "secret.txt", asker=guest, told=house.asker())
    assert told.stage == "not_permitted"
    assert "ann may not see it: it is for holders of 'staff'" in told.explanation
    for name in ("secret.txt", str(told.document_id)):
        with pytest.raises(NotFound) as refused:
            house.why("otters sleep", name, asker=guest)
        with pytest.raises(NotFound) as unknown:
            house.why("otters sleep", "unknown.txt", asker=guest)
        named = house.uri(name) if name == "secret.txt" else name
        assert str(refused.value).replace(named, "unknown.txt") == str(unknown.value)


def test_removed_and_replaced(house: House) -> None:
    before = house.why("otters sleep", "otters.txt")
    house.put("otters.txt", "Otters eat sea urchins.")
    after = house.why("otters sleep", "otters.txt")
    assert (after.stage, after.document_id != before.document_id) == ("found", True)
    old = house.why("otters sleep", str(before.document_id))
    assert old.stage == "removed"
    assert f"document {after.document_id} is what stands at its address now" in old.explanation
    assert after.document_id is not None
    house.corpus.remove([after.document_id], actor="local")
    gone = house.why("otters sleep", "otters.txt")
    assert (gone.stage, gone.document_id) == ("removed", after.document_id)
    assert f"rag documents restore {after.document_id}" in gone.explanation
    house.put("secret.txt", "Otters that sleep have a secret.", labels=["staff"])
    secret = house.why("otters sleep", "secret.txt").document_id
    assert secret is not None
    house.corpus.remove([secret], actor="local")
    assert house.why("otters sleep", "secret.txt", asker=house.asker("staff")).stage == "removed"
    with pytest.raises(NotFound):
        house.why("otters sleep", "secret.txt", asker=house.asker("guest"))


@pytest.mark.parametrize("policy", ["skip", "alias"])
def test_merged_names_the_document_that_stands(
    database: Database, embedder: Embedder, tmp_path: Path, policy: str
) -> None:
    house = build(database, embedder, tmp_path, dedup_near=policy)
    house.put("long.txt", " ".join(WORDS))
    house.put("again.txt", " ".join([*WORDS[:60], "unheard", *WORDS[61:]]))
    stands = house.why("word7 word8", "long.txt")
    assert stands.stage == "found"
    answer = house.why("unheard", "again.txt", asked={"k": 1, "mode": "keyword"})
    assert answer.stage == "merged"
    assert answer.stands_for_it is not None
    assert (answer.stands_for_it.document_id, answer.stands_for_it.policy) == (stands.document_id, policy)
    assert f"document {stands.document_id} " in answer.explanation
    assert (answer.document_id is None) == (policy == "skip")
    shown = house.why("word7 word8", "again.txt")
    assert shown.stage == ("merged" if policy == "skip" else "found")


def test_a_held_back_document_is_told_to_those_only_who_may_see_it(
    database: Database, embedder: Embedder, tmp_path: Path
) -> None:
    house = build(database, embedder, tmp_path, dedup_near="skip")
    house.put("long.txt", " ".join(WORDS), labels=["staff"])
    house.put("again.txt", " ".join([*WORDS[:60], "unheard", *WORDS[61:]]), labels=["staff"])
    assert house.why("word7", "again.txt", asker=house.asker("staff")).stage == "merged"
    with pytest.raises(NotFound):
        house.why("word7", "again.txt", asker=house.asker("guest"))


def test_an_exact_copy_is_found_as_a_place(house: House) -> None:
    house.put("copy.txt", TEXTS["otters.txt"])
    answer = house.why("otters sleep in kelp", "copy.txt")
    assert (answer.stage, answer.rank) == ("found", 1)
    assert "one of 2 places of the same text" in answer.explanation


def test_the_filter_is_told_by_its_conditions(house: House) -> None:
    house.put("old.txt", "Otters of long ago did sleep.", year=1999, lang="en")
    where = Filter.parse({"year": {"$gte": 2020, "$lt": 2030}, "$and": [{"lang": "en"}, {"owner": "eve"}]})
    answer = house.why("otters sleep", "old.txt", asked={"where": where})
    assert answer.stage == "filtered"
    assert [each.canonical for each in answer.conditions] == ['{"owner": "eve"}', '{"year": {"$gte": 2020}}']
    assert '{"year": {"$gte": 2020}}' in answer.explanation
    passes = Filter.parse({"year": {"$lt": 2030}})
    assert house.why("otters sleep", "old.txt", asked={"where": passes}).stage == "found"
    with pytest.raises(WrongFilter, match="no document has a field 'yaer'"):
        house.why("otters sleep", "old.txt", asked={"where": Filter.parse({"yaer": 1999})})


def test_a_phrase_in_double_quotes_is_asked_of_both_rankings(house: House) -> None:
    lost = house.why('"hold hands" sleep', "whales.txt")
    assert (lost.stage, lost.explanation) == ("phrase", "none of its chunks holds the phrase in double quotes")
    found = house.why('"hold hands" sleep', "otters.txt")
    assert (found.stage, [arm.among for arm in found.arms]) == ("found", [1, 1])
    assert house.why('"hold hands" sleep', "whales.txt", asked={"mode": "semantic"}).stage == "phrase"


def test_neither_ranking_brought_it(house: House) -> None:
    answer = house.why("otters sleep", "bread.txt", asked={"k": 1, "fusion": Fusion(depth=1)})
    assert answer.stage == "retrieval"
    dense, worded = answer.arms
    assert dense.rank is not None
    assert dense.rank > 1
    assert (worded.rank, worded.score) == (None, None)
    assert "it holds no word of the question" in answer.explanation
    only = house.why("otters sleep", "bread.txt", asked={"k": 1, "fusion": Fusion(depth=1), "mode": "semantic"})
    assert (only.stage, only.arms) == ("retrieval", (dense,))


def test_the_ranks_are_those_of_everything(house: House) -> None:
    """True ranks and scores are those of a search that ranks every chunk."""
    view = house.opened.indexes.view()
    permitted_asked = Search("the moon and the oven rises", 1, fusion=Fusion(depth=1))
    with house.opened.database.read() as connection:
        permitted = house.opened.access.permitted(connection, house.asker(), house.corpus.collection.id)
    near = view.vectors.search(house.opened.embedder().embed_queries([permitted_asked.query]), 99, permitted)[0]
    worded = view.keywords.search([view.question_terms(permitted_asked.query)], 99, permitted)[0]
    for name in TEXTS:
        answer = why(house.opened, permitted_asked, house.uri(name), house.asker())
        with house.opened.database.read() as connection:
            from rag.store.whereabouts import chunks_at, look

            [one] = look(connection, house.corpus.collection.id, house.uri(name))
            [chunk] = chunks_at(connection, one.content_id, permitted.position)
        for arm, ranking in zip(answer.arms, (near, worded), strict=True):
            expected = [(hit.parts[arm.arm].rank, hit.score) for hit in ranking if hit.chunk_id == chunk]
            assert [(arm.rank, arm.score)] == expected or (arm.rank is None and not expected)


def test_fusion_left_it_behind(house: House) -> None:
    """The best by words is not the best by meaning, and only one of them is kept."""
    for number in range(6):
        house.put(f"more{number}.txt", f"alpha beta gamma number{number} stands here with much else to say {number}")
    house.put("same.txt", "alpha beta gamma")
    house.put("rare.txt", "stone and rare and rare and stone again")
    query, fusion = "alpha beta gamma rare", Fusion(alpha=1.0, depth=1)
    answer = house.why(query, "rare.txt", asked={"k": 1, "fusion": fusion})
    dense, worded = answer.arms
    assert (worded.rank, dense.rank != 1) == (1, True), "what the test is about"
    assert answer.stage == "fused"
    assert "fusion left it behind" in answer.explanation
    deeper = house.why(query, "rare.txt", asked={"k": 1, "fusion": replace(fusion, depth=20)})
    assert deeper.stage == "fused"
    assert "fusion put it from place 1 of a ranking" in deeper.explanation


@dataclass(frozen=True)
class Prefers:
    """A reranker with a favourite word."""

    word: str
    name: str = "prefers"

    def relevance(self, pairs: Sequence[tuple[str, str]]) -> NDArray[np.float32]:
        return np.array([self.word in text for _, text in pairs], dtype=np.float32)


def test_the_reranker_put_it_down(house: House) -> None:
    answer = house.why("otters sleep in kelp", "otters.txt", asked={"k": 1}, reranker=Prefers("yeast"))
    assert answer.stage == "rerank"
    assert answer.parts["fused"].rank == 1
    assert answer.parts["rerank"].rank > 1
    assert "the reranker put it from place 1 of fusion to" in answer.explanation


def test_the_reranker_never_read_it(house: House) -> None:
    """One ranking alone brings as many as the reranker reads; nothing was fused."""
    for mode in ("semantic", "keyword"):
        asked = {"k": 1, "mode": mode, "refining": Refining(rerank_depth=1)}
        answer = house.why("otters sleep in kelp", "whales.txt", asked=asked, reranker=Prefers("otters"))
        assert answer.stage == "retrieval"
        assert "no ranking brought it among its first 1 candidates" in answer.explanation
        assert [arm.depth for arm in answer.arms] == [1]
    both: dict[str, object] = {"k": 1, "fusion": Fusion(depth=1), "refining": Refining(rerank_depth=3)}
    assert [arm.depth for arm in house.why("otters", "tides.txt", asked=both, reranker=Prefers("x")).arms] == [3, 3]


def test_diversity_put_it_down(house: House) -> None:
    house.put("otters2.txt", TEXTS["otters.txt"].replace("the kelp", "kelp"))
    asked = {"k": 2, "refining": Refining(diversify=0.3)}
    plain = [house.why("otters sleep in kelp", name).rank for name in ("otters.txt", "otters2.txt")]
    assert sorted(str(rank) for rank in plain) == ["1", "2"], "what the test is about"
    second = ("otters.txt", "otters2.txt")[plain.index(2)]
    answer = house.why("otters sleep in kelp", second, asked=asked)
    assert answer.stage == "diverse"
    assert "diversity put it from place 2 of fusion to" in answer.explanation


def test_the_last_stage_that_put_it_down_is_named(house: House) -> None:
    """What one stage put down and a later one brought back was not lost there."""
    for number in range(6):
        house.put(f"more{number}.txt", f"alpha beta gamma number{number} stands here with much else to say {number}")
    house.put("twin.txt", "stone and rare and rare and stone once more")
    house.put("rare.txt", "stone and rare and rare and stone again")
    asked = {"k": 2, "fusion": Fusion(alpha=1.0), "refining": Refining(diversify=0.3)}
    answer = house.why("alpha beta gamma rare", "rare.txt", asked=asked, reranker=Prefers("rare"))
    ranks = [answer.parts[stage].rank for stage in ("bm25", "fused", "rerank", "diverse")]
    assert [rank <= 2 for rank in ranks] == [True, False, True, False], "what the test is about"
    assert answer.stage == "diverse"
    assert "diversity put it from place 2 of the reranker to" in answer.explanation
    asked["refining"] = Refining()
    assert house.why("alpha beta gamma rare", "rare.txt", asked=asked, reranker=Prefers("beta")).stage == "fused"


def test_the_cut(house: House) -> None:
    answer = house.why("otters sleep", "bread.txt", asked={"k": 1})
    assert answer.stage == "cut"
    assert answer.chunk_id is not None
    assert f"it is in place {answer.parts['fused'].rank}, and 1 are shown" in answer.explanation


def test_the_prompts_budget(house: House) -> None:
    packed = prompt(words_of_prompt(house) + 20)
    first = house.why("otters sleep in kelp", "otters.txt", pack=packed)
    assert first.stage == "found"
    second = next(
        answer for name in TEXTS if (answer := house.why("otters sleep in kelp", name, pack=packed)).rank == 2
    )
    assert second.stage == "budget"
    assert "the prompt has room for 1 of them only" in second.explanation


def words_of_prompt(house: House) -> int:
    """Of the instructions, without a passage, and of what is kept free for the answer."""
    return pack("?", (), count_tokens=words, context_tokens=10_000, max_tokens=10).tokens + 10


def test_what_makes_no_sense_is_refused(house: House) -> None:
    with pytest.raises(WrongUsage):
        house.why(" ", "otters.txt")
    with pytest.raises(NotFound, match="by its id, its uri or its external id"):
        house.why("otters", "nothing.txt")


def test_with_the_real_model(database: Database, models_dir: Path, tmp_path: Path) -> None:
    """By meaning alone: no word is shared, and the model still ranks what fits first."""
    real = embedders.load("sentence_transformers:all-MiniLM-L6-v2", models_dir=models_dir, threads=1)
    house = build(database, real, tmp_path)
    query = "marine mammals resting afloat"
    answer = house.why(query, "otters.txt")
    assert answer.stage == "found"
    dense, worded = answer.arms
    assert dense.rank is not None
    assert dense.rank <= 2
    assert worded.rank is None
    lost = house.why(query, "bread.txt", asked={"k": 1, "fusion": Fusion(depth=1)})
    assert lost.stage == "retrieval"
    assert lost.arms[0].rank in (3, 4)
