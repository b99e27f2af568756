"""Many languages in one collection: told apart, cut where their sentences end, found by other forms of their words."""

import unicodedata
from collections.abc import Sequence
from dataclasses import replace
from itertools import pairwise
from pathlib import Path

import pytest
import regex  # type: ignore[import-untyped]  # its \X is the standard's own cluster
from hypothesis import given, settings
from hypothesis import strategies as st

from ingest.chunk import chunk
from ingest.clean import assemble
from ingest.languages.clusters import cut, starts
from ingest.languages.detection import LOOKED_AT, detect, primary
from ingest.languages.function_words import FUNCTION_WORDS
from ingest.languages.sentences import sentences
from ingest.types import Block, ChunkSettings, Parsed, Source
from rag.access import Access
from rag.corpus import Corpus, Origin, open_corpus
from rag.errors import IndexDamaged
from rag.indexes.generations import Generations
from rag.indexes.snapshots import Indexes
from rag.keywords.analysis import KNOWN, VERSION, analyse, analysis, chunk_terms, matches, question_terms
from rag.search import OpenCollection, Search, search
from rag.store.database import Database
from rag.store.vectors import CollectionFeed
from rag.types import Embedder, Principal
from tests.languages import PAIRS

TEXTS = {language: "\n\n".join(text for text, _ in pairs) for language, pairs in PAIRS.items()}

# ── telling them apart ──────────────────────────────────────────────────────────────────────────────────────────────

OTHERS = {
    "es": "El faro de la isla fue construido hace cien años y su luz se ve desde la costa cuando no hay niebla.",
    "it": "Il faro dell'isola è stato costruito cento anni fa e la sua luce si vede dalla costa quando non c'è nebbia.",
    "pt": "O farol da ilha foi construído há cem anos e a sua luz é vista da costa quando não há nevoeiro.",
    "nl": "De vuurtoren op het eiland is honderd jaar geleden gebouwd en zijn licht is te zien als er geen mist is.",
    "sv": "Fyren på ön byggdes för hundra år sedan och ljuset syns från kusten när det inte är dimma.",
    "da": "Fyret på øen blev bygget for hundrede år siden, og lyset kan ses fra kysten, når der ikke er tåge.",
    "fi": "Saaren majakka rakennettiin sata vuotta sitten, ja sen valo näkyy rannikolle, kun ei ole sumua.",
    "hu": "A sziget világítótornya száz évvel ezelőtt épült, és a fénye a partról is látszik, ha nincs köd.",
    "tr": "Adadaki deniz feneri yüz yıl önce yapıldı ve sis olmadığı zaman ışığı kıyıdan çok iyi görülür.",
    "pl": "Latarnia morska na wyspie została zbudowana sto lat temu, a jej światło widać z brzegu, gdy nie ma mgły.",
    "cs": "Maják na ostrově byl postaven před sto lety a jeho světlo je vidět z pobřeží, když není mlha.",
    "uk": "Маяк на острові був побудований сто років тому, і його світло видно з берега, коли немає туману.",
    "fa": "فانوس دریایی جزیره صد سال پیش ساخته شد و نور آن را می توان از ساحل دید.",
    "ur": "جزیرے کا مینار سو سال پہلے بنایا گیا تھا اور اس کی روشنی ساحل سے نظر آتی ہے۔",
    "mr": "बेटावरील दीपगृह शंभर वर्षांपूर्वी बांधले होते आणि त्याचा प्रकाश किनाऱ्यावरून दिसतो, पण धुके असले तर नाही.",
    "el": "Ο φάρος του νησιού χτίστηκε πριν από εκατό χρόνια.",
    "he": "המגדלור על האי נבנה לפני מאה שנים והאור שלו נראה גם מן החוף כאשר אין ערפל.",
    "ka": "შუქურა კუნძულზე ასი წლის წინ აშენდა.",
    "my": "ကျွန်းပေါ်ရှိ မီးပြတိုက်ကို လွန်ခဲ့သော နှစ်တစ်ရာက ဆောက်ခဲ့သည်။",
}


@pytest.mark.parametrize("language", [*PAIRS, *OTHERS])
def test_a_language_is_told(language: str) -> None:
    assert detect(TEXTS.get(language) or OTHERS[language]) == language


@pytest.mark.parametrize(
    "text",
    [
        "",
        "Hello.",
        "12; 14; 15.5; 2024-01-01",
        "Berlin Paris London Madrid Roma Lisboa Wien Bern Oslo Praha",
        "x = a + b; y = a - b; z = c",
        "SKU-11 QX-9 TR-4 MN-2 PL-77 KV-3 ZU-1 WA-5",
    ],
)
def test_what_is_no_prose_has_no_language(text: str) -> None:
    assert detect(text) == ""


def test_a_text_in_two_languages_in_equal_parts_has_none() -> None:
    assert detect(f"{OTHERS['es']} {OTHERS['nl']} {OTHERS['fi']}") == ""


def test_foreign_words_do_not_hide_the_language() -> None:
    assert detect("请先安装 Python 和 Docker，然后运行 docker compose up 命令。") == "zh"
    assert detect("ติดตั้ง Docker และ Python ก่อน แล้วใช้คำสั่ง docker compose up เพื่อเริ่มระบบ") == "th"
    assert detect("```\nint main(void) { return 0; }\n```\n" + OTHERS["sv"]) == "sv"


def test_a_short_question_is_told_among_few() -> None:
    assert detect("Wer ist das?") == ""
    assert detect("Wer ist das?", among=["de", "en"]) == "de"
    assert detect("who is that", among=["de", "en"]) == "en"
    assert detect("ผึ้งทำอะไร", among=["de", "en"]) == ""


def test_the_middle_of_a_long_text_counts_too() -> None:
    table = "id; 17; 4\n" * LOOKED_AT
    assert detect(table + table) == ""
    assert detect(f"{table[: LOOKED_AT * 2]}{OTHERS['pl'] * 60}{table[: LOOKED_AT * 2]}") == "pl"


@pytest.mark.parametrize(
    ("tag", "code"),
    [("en-US", "en"), ("DE", "de"), ("zh_Hant_TW", "zh"), ("deu", "de"), ("nb-NO", "no"), ("iw", "he"), (" fr ", "fr"),
     ("und", ""), ("", ""), ("English", ""), (None, ""), (7, "")],
)  # fmt: skip
def test_a_tag_has_a_primary_code(tag: object, code: str) -> None:
    assert primary(tag) == code


def test_a_document_knows_its_language_best() -> None:
    source = Source("text:a", "text/plain", b"")
    block = Block("paragraph", TEXTS["de"])
    assert assemble(source, Parsed([block])).metadata == {"language": "de"}
    assert assemble(source, Parsed([block], metadata={"language": "de-AT"})).metadata == {"language": "de-AT"}
    assert assemble(source, Parsed([block], metadata={"language": "?"})).metadata == {"language": "de"}
    assert assemble(source, Parsed([Block("paragraph", "17; 4")], metadata={"language": ""})).metadata == {}


# ── sentences ───────────────────────────────────────────────────────────────────────────────────────────────────────


@pytest.mark.parametrize(
    ("language", "marked"),
    [
        ("de", "Der Zug fährt am 3. Oktober um 8 Uhr, z. B. nach St. Gallen.¦ Dr. Meier, d. h. der Leiter, wohnt in "
               "der Hauptstr. 5.¦ Im 19. Jahrhundert regierte Ludwig XIV. nicht mehr.¦ Es gab Äpfel usw.¦ Die Ernte "
               "war gut.¦ Siehe Abb. 3 und Nr. 5.¦ Er wurde 2.¦ Sie wurde 3.¦ Das war alles."),
        ("hi", "मेरा नाम डॉ. शर्मा है।¦ मैं दिल्ली में रहता हूँ।¦ क्या आप आएँगे?¦ हाँ!¦ "
               "श्री ए. के. वर्मा कल आए थे।¦ यह १९९० में छपी॥"),
        ("bn", "সূর্য পূর্ব দিকে ওঠে।¦ ডা. রহমান আজ আসবেন।¦ তুমি কি যাবে?¦ হ্যাঁ।"),
        ("ar", "هل وصل القطار؟¦ وصل د. أحمد في الساعة الثامنة.¦ كان الجو باردا، ثم أمطرت السماء!¦ انتهى الدرس."),
        ("ur", "کیا حال ہے؟¦ سب ٹھیک ہے۔¦ میں کل آؤں گا۔"),
        ("th", "ประเทศไทยมีแม่น้ำหลายสายที่ไหลลงสู่อ่าวไทยและเป็นแหล่งน้ำสำคัญของเกษตรกร¦ "
               "ชาวนาปลูกข้าวปีละสองครั้งในพื้นที่ที่มีระบบชลประทาน "
               "โดยเฉพาะในภาคกลาง¦ ส่วนภาคอีสานปลูกได้เพียงปีละครั้งเพราะฝนตกน้อย ขอบคุณมากครับ¦ พบกันใหม่พรุ่งนี้นะ¦ สวัสดี"),
        ("zh", "他说：“今天很冷。我们不去了。”¦然后就走了。"
               "¦你知道吗?¦我不知道!¦（见图三。）¦价格是3.5元。¦真的？！¦好吧……算了。"),
        ("ja", "彼は「行く。すぐ来る。」と言った。¦そして駅へ向かった。"
               "¦雨が降っていますか？¦はい、降っています！¦（本当です。）¦終わり。"),
        ("ko", "나는 학교에 간다.¦ 너는 어디에 가니?¦ 집에 가요!"),
        ("ta", "இது ஒரு புத்தகம்.¦ அது மேசை மீது உள்ளது.¦ நீங்கள் வருவீர்களா?"),
        ("it", "Il Dott. Rossi è arrivato alle 8.¦ Abita in via Roma, n. 5, ecc.¦ La casa è grande.¦ Veda p. 12."),
        ("pt", "O Dr. Silva chegou às 8.¦ A Sra. Costa mora na R. das Flores, n. 5.¦ Veja a pág. 12."),
        ("nl", "Dhr. Jansen woont in de Kerkstr. 5.¦ Zie blz. 12, bijv. Fig. 3.¦ Mevr. de Vries komt om 8 uur."),
        ("ru", "Москва основана в 1147 г. Юрием Долгоруким.¦ Проф. Иванов и др."
               "¦ Они живут на ул. Ленина, д. 5.¦ А. С. Пушкин "
               "родился в 1799 г.¦ Он поэт."),
        ("el", "Πού είναι ο σταθμός;¦ Είναι κοντά.¦ Ο κ. Παπαδόπουλος ήρθε."),
        ("my", "ကျွန်းပေါ်ရှိ မီးပြတိုက်ဖြစ်သည်။¦ အလင်းရောင်ကို မြင်ရသည်။"),
    ],
)  # fmt: skip
def test_where_sentences_end(language: str, marked: str) -> None:
    text = marked.replace("¦", "")
    assert [text[a:b] for a, b in sentences(text, language)] == [piece.strip() for piece in marked.split("¦")]


# ── cutting ─────────────────────────────────────────────────────────────────────────────────────────────────────────

SCRAPS = st.sampled_from(
    ["क्षेत्र", "हिन्दी", "नहीं।", "ที่นี่", "น้ำ", "เกาะ ", "ประเทศ", "葛\U000e0100", "机器学习", "です。",
     "「はい」", "がぎ", "ｶﾞ",
     "العَرَبِيَّة", "سؤال؟ ", "한국어", "\u1112\u1161\u11ab", "நீங்கள்", "বাংলা।", "e\u0301", "a\u0308\u0323", "👩‍👩‍👧", "👍🏽",
     "🇩🇪🇫🇷", "1️⃣", "Straße", "am 3. Oktober ", "word", ". ", "! ", " ", " ", "\n", "\n\n", "abcdefghij", "—", "("]
) | st.characters(codec="utf-8", exclude_categories=["Cc", "Cs", "Zl", "Zp"])  # fmt: skip
MIXTURES = st.lists(SCRAPS, max_size=60).map(lambda scraps: unicodedata.normalize("NFC", "".join(scraps)))


def torn(text: str, places: set[int]) -> list[str]:
    """The grapheme clusters of the standard with a place inside. A mark behind a blank has no letter to stay with."""
    clusters = [found.span() for found in regex.finditer(r"\X", text)]
    return [
        text[a:b] for a, b in clusters if not text[a].isspace() and any(place in places for place in range(a + 1, b))
    ]


def letters(texts: Sequence[str]) -> list[int]:
    """A tokenizer without mercy: a token for each code point, and two special ones."""
    return [len(text) + 2 for text in texts]


@given(MIXTURES, st.sampled_from(["en", "de", "hi", "th", "zh", "ja", "ar", "el"]))
@settings(max_examples=300)
def test_sentences_are_exact_and_complete_and_tear_nothing(text: str, language: str) -> None:
    spans = sentences(text, language)
    assert all(text[a:b] == text[a:b].strip() and a < b for a, b in spans)
    assert all(before[1] <= after[0] for before, after in pairwise(spans))
    covered = {at for a, b in spans for at in range(a, b)}
    assert all(text[at].isspace() for at in range(len(text)) if at not in covered)
    assert torn(text, {place for span in spans for place in span}) == []


@given(MIXTURES, st.sampled_from(["en", "de", "hi", "th", "zh", "ja", "ar"]), st.integers(30, 60))
@settings(max_examples=300, deadline=None)
def test_chunks_are_exact_and_complete_and_tear_nothing(text: str, language: str, budget: int) -> None:
    chunks = chunk(text, [], "", ChunkSettings(budget), letters, language)
    assert all(one.text == text[one.start : one.end] and len(one.text) + 2 <= budget for one in chunks)
    covered = {at for one in chunks for at in range(one.start, one.end)}
    assert all(text[at].isspace() for at in range(len(text)) if at not in covered)
    small = all(b - a < budget // 2 for a, b in (found.span() for found in regex.finditer(r"\X", text)))
    if small:
        assert torn(text, {place for one in chunks for place in (one.start, one.end)}) == []


@given(MIXTURES, st.data())
def test_a_cut_lies_within_its_stretch_and_in_no_cluster(text: str, data: st.DataObject) -> None:
    if len(text) < 3:
        return
    at = data.draw(st.integers(1, len(text) - 1))
    low = data.draw(st.integers(0, at - 1))
    place = cut(text, low, at, len(text))
    assert low < place < len(text)
    if starts(text, place):
        assert torn(text, {place}) == []
    else:
        assert place == at
        assert not any(starts(text, other) for other in range(low + 1, min(len(text), at + 64)))


def test_a_long_thai_clause_is_cut_between_syllables() -> None:
    text = "เกษตรกรในภาคเหนือปลูกข้าวและเลี้ยงโคในพื้นที่ราบลุ่มแม่น้ำ" * 8
    chunks = chunk(text, [], "", ChunkSettings(50), letters, "th")
    assert len(chunks) > 8
    assert "".join(one.text for one in chunks) == text
    assert {one.text[0] for one in chunks[1:]} <= set("เแโใไ")


def test_a_long_chinese_sentence_is_cut_behind_its_commas() -> None:
    text = "岛上的灯塔建于一百年前，它的光从大陆也能看见，渔民都认识它，" * 8
    chunks = chunk(text, [], "", ChunkSettings(40), letters, "zh")
    assert all(one.text.endswith("，") for one in chunks)


def test_the_abbreviations_of_a_language_hold_in_its_chunks() -> None:
    text = "Die Bahn fährt am 3. Oktober. Der Bus fährt am 4. Oktober. " * 6
    chunks = chunk(text, [], "", ChunkSettings(70), letters, "de")
    assert {one.text.split()[0] for one in chunks} <= {"Die", "Der"}
    assert {one.text[-8:] for one in chunks} == {"Oktober."}


# ── words ───────────────────────────────────────────────────────────────────────────────────────────────────────────


def test_each_language_stems_its_own_words() -> None:
    assert analyse("Häuser Hauses Straßen STRASSE", "de") == ["haus", "haus", "strass", "strass"]
    assert analyse("हिन्दी हिंदी किताबों किताबें", "hi") == ["हिंद", "हिंद", "किताब", "किताब"]
    assert analyse("البركان بركان وكتاب الكتاب", "ar") == ["برك", "برك", "كتاب", "كتاب"]
    assert analyse("контейнеров containers", "ru") == ["контейнер", "contain"]
    assert analyse("książki książka", "pl")[0] == analyse("książki książka", "pl")[1]


def test_a_text_whose_language_is_not_told_is_stemmed_by_its_letters() -> None:
    assert chunk_terms("running the контейнеров किताबों βars", "") == ["run", "контейнер", "किताब", "βar"]
    assert chunk_terms("今天 running 的", "zh") == ["今天", "run", "的"]


@pytest.mark.parametrize("tag", ["", "en", "en-US", "zh", "th", "tlh", "la", "?", "de-CH", *FUNCTION_WORDS])
def test_every_language_has_an_analysis(tag: str) -> None:
    assert analysis(tag) in KNOWN
    assert chunk_terms("3.14 手机", tag) == ["3.14", "手机"]


@given(st.text(st.characters(max_codepoint=0x17F)))
def test_english_collections_are_asked_as_if_there_were_no_other_language(question: str) -> None:
    alone = analyse(question)
    assert question_terms(question, ["en"]) == alone
    assert question_terms(question, ["en", "", "zh", "th"]).count("a") == alone.count("a")
    assert sorted(question_terms(question, ["en-GB", "", "zh"])) == sorted(alone)


def test_a_question_is_asked_in_every_language_of_the_collection() -> None:
    assert question_terms("Who built the rivers?", ["en", "de"]) == ["built", "riv", "river"]
    assert question_terms("Why must she have built the rivers?", ["en", "de"]) == ["built", "riv", "river"]
    assert question_terms("Häuser", ["de", "en"]) == ["haus", "hauser"]
    assert question_terms("Häuser", ["de"]) == ["haus"]


def test_matching_words_are_marked_in_unspaced_text() -> None:
    text = "ผึ้งเก็บน้ำหวานจากดอกไม้แล้วทำเป็นน้ำผึ้งในรัง"
    found = matches(text, "th", question_terms("น้ำผึ้ง", ["th"]))
    assert "น้ำผึ้ง" in [text[a:b] for a, b in found]
    assert matches("Die Häuser am Fluss", "de", ["haus"]) == [(4, 10)]
    assert matches("", "", ["haus"]) == []


def test_the_command_line_shows_the_place_in_unspaced_text() -> None:
    from rag.cli.search import EXCERPT, excerpt
    from rag.cli.search import matches as shown

    text = "ชาวนาปลูกข้าวด้วยมือในนาที่มีน้ำขัง" * 30 + "ผึ้งทำน้ำหวาน" + "เรือจอดที่ท่าเรือและขนถ่านหิน" * 30
    part = excerpt(text, "ผึ้ง")
    assert "ผึ้ง" in [part[a:b] for a, b in shown(part, "ผึ้ง")]
    assert len(part) <= EXCERPT + 80
    assert torn(text, {text.index(part.strip("… ")), text.index(part.strip("… ")) + len(part.strip("… "))}) == []


# ── one collection ──────────────────────────────────────────────────────────────────────────────────────────────────


@pytest.fixture
def corpus(database: Database, embedder: Embedder, tmp_path: Path) -> Corpus:
    """A collection of all the texts, a file each, whose language nobody says."""
    folder = tmp_path / "docs"
    folder.mkdir()
    for language, pairs in PAIRS.items():
        for number, (text, _) in enumerate(pairs):
            (folder / f"{language}-{number}.txt").write_text(text, encoding="utf-8")
    corpus = open_corpus(database, "default", "default", embedder, chunk_tokens=64, overlap_tokens=0)
    report = corpus.add_paths([folder], Origin("local"), max_bytes=2**20)
    assert report.failed == 0
    return corpus


@pytest.fixture
def opened(corpus: Corpus, tmp_path: Path) -> OpenCollection:
    feed = CollectionFeed(corpus.database, corpus.collection)
    indexes = Indexes(tmp_path / "indexes", feed, fingerprint=corpus.collection.fingerprint)
    return OpenCollection(corpus.database, corpus.collection, indexes, Access(), lambda: corpus.embedder)


def first(opened: OpenCollection, question: str) -> str:
    """The name of the document that is found first by its words."""
    principal = Principal(opened.collection.tenant_id, "ann")
    passages = search(opened, Search(question, k=1, mode="keyword"), principal).passages
    return passages[0].places[0].title if passages else ""


def test_every_question_finds_its_text_first(opened: OpenCollection) -> None:
    expected = {q: f"{language}-{n}.txt" for language, pairs in PAIRS.items() for n, (_, q) in enumerate(pairs)}
    assert len(expected) == sum(map(len, PAIRS.values())) >= 150
    from_sql = {question: first(opened, question) for question in expected}
    assert from_sql == expected
    assert opened.indexes.publish() is not None
    assert opened.indexes.view().generation == 1
    assert {question: first(opened, question) for question in expected} == expected


def test_a_collection_knows_its_languages(corpus: Corpus, opened: OpenCollection, tmp_path: Path) -> None:
    feed = CollectionFeed(corpus.database, corpus.collection)
    before = feed.position()
    assert set(feed.languages(before)) == {"", *PAIRS}
    assert opened.indexes.view().languages == feed.languages(before)
    (tmp_path / "it.txt").write_text(OTHERS["it"], encoding="utf-8")
    added = corpus.add_paths([tmp_path / "it.txt"], Origin("local"), max_bytes=2**20)
    assert set(opened.indexes.view().languages) == {"", "it", *PAIRS}
    assert first(opened, "il faro sulle isole") == "it.txt"
    corpus.remove(added.document_ids, actor="ann")
    assert set(opened.indexes.view().languages) == {"", *PAIRS}
    assert feed.languages(0) == ()


def test_an_index_of_another_analysis_is_not_used(opened: OpenCollection, tmp_path: Path) -> None:
    assert opened.indexes.publish() == 1
    kind = replace(opened.indexes._generations.kind, analysis=VERSION - 1)
    with pytest.raises(IndexDamaged, match="another analysis"):
        Generations(tmp_path / "indexes", kind).current()
