"""What every parser in the folder must do with sample files of its format: exact marks, JSON metadata, our errors."""

import json
import random
import shutil
import warnings

import pytest
from _pytest.mark import ParameterSet

from ingest import media_types, parsers, sources
from ingest.clean import assemble, clean
from ingest.errors import Damaged, Empty, Encrypted, IngestError, Unsupported
from ingest.types import Document, Failed, Parsed, Source
from tests.samples import SAMPLES, Sample


def parameters(name: str, sample: Sample) -> ParameterSet:
    """A sample to test, skipped where the program that reads it is not installed."""
    absent = sample.program is not None and shutil.which(sample.program) is None
    mark = pytest.mark.skipif(absent, reason=f"{sample.program} is not installed")
    return pytest.param(name, sample, id=sample.name, marks=mark)


ALL = [parameters(name, sample) for name, found in SAMPLES.items() for sample in found]


def documents(source: Source) -> list[Document]:
    return [assemble(source, item) for item in parsers.parse(source) if isinstance(item, Parsed)]


def test_every_parser_has_a_sample_and_every_suffix_leads_to_it() -> None:
    assert set(SAMPLES) == set(parsers.formats())
    for parser in parsers.formats().values():
        assert parser.MEDIA_TYPES
        for suffix in parser.SUFFIXES:
            assert media_types.of_name(f"a{suffix}") in parser.MEDIA_TYPES


def test_no_two_parsers_claim_one_media_type() -> None:
    claimed = [kind for parser in parsers.formats().values() for kind in parser.MEDIA_TYPES]
    assert len(claimed) == len(set(claimed))


@pytest.mark.parametrize(("name", "sample"), ALL)
def test_a_sample_is_read_whole(name: str, sample: Sample) -> None:
    source = sources.from_upload(sample.name, sample.content, sample.media_type)
    assert source.media_type in parsers.formats()[name].MEDIA_TYPES
    found = documents(source)
    assert len(found) == sample.documents
    assert found[0].title == sample.title
    whole = "\n".join(f"{document.title}\n{document.text}" for document in found)
    assert not [phrase for phrase in sample.phrases if phrase not in " ".join(whole.split())]


@pytest.mark.parametrize(("name", "sample"), ALL)
def test_marks_stand_where_blocks_begin(name: str, sample: Sample) -> None:
    source = sources.from_upload(sample.name, sample.content, sample.media_type)
    for item in parsers.parse(source):
        assert isinstance(item, Parsed)
        document = assemble(source, item)
        blocks = [block for block in item.blocks if clean(block.text, block.kind)]
        marks = [mark for mark in document.outline if mark.kind != "page"]
        assert [mark.kind for mark in marks] == [block.kind for block in blocks]
        for mark, block in zip(marks, blocks, strict=True):
            assert document.text.startswith(clean(block.text, block.kind), mark.offset)
            if mark.kind == "heading":
                assert 1 <= mark.level <= 6
                assert document.text.startswith(mark.value, mark.offset)
        assert [mark.offset for mark in document.outline] == sorted(mark.offset for mark in document.outline)
        assert json.loads(json.dumps(document.metadata, allow_nan=False)) == document.metadata


@pytest.mark.parametrize(("name", "sample"), ALL)
def test_reading_twice_gives_the_same(name: str, sample: Sample) -> None:
    source = sources.from_upload(sample.name, sample.content, sample.media_type)
    assert documents(source) == documents(source)


@pytest.mark.parametrize(("name", "sample"), ALL)
def test_damage_raises_our_errors_only(name: str, sample: Sample) -> None:
    kind = sources.from_upload(sample.name, sample.content, sample.media_type).media_type
    chance = random.Random(sample.name)
    outcomes: list[str] = []
    for number in range(40):
        content = bytearray(sample.content[: chance.randrange(len(sample.content)) if number % 2 else None])
        for _ in range(number // 2):
            if content:
                content[chance.randrange(len(content))] = chance.randrange(256)
        outcomes.append(_outcome(Source(f"upload:{sample.name}", kind, bytes(content))))
    assert set(outcomes) <= {"read", "refused"}
    assert "read" in outcomes  # the first one is whole


def _outcome(source: Source) -> str:
    try:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")  # a library may warn of what it then reads
            found = list(parsers.parse(source))
    except IngestError as error:
        return "refused" if source.uri in str(error) else f"without its name: {error}"
    return "read" if all(isinstance(item, Parsed | Failed) for item in found) else "neither"


@pytest.mark.parametrize("name", sorted(SAMPLES))
@pytest.mark.parametrize("content", [b"", b"   \n \n"], ids=["nothing", "blanks"])
def test_emptiness_is_named(name: str, content: bytes) -> None:
    sample = SAMPLES[name][0]
    kind = parsers.formats()[name].MEDIA_TYPES[0]
    with pytest.raises((Empty, Damaged)) as caught:
        list(parsers.parse(Source(f"upload:{sample.name}", kind, content)))
    assert sample.name in str(caught.value)
    assert isinstance(caught.value, Empty) or name in ("pdf", "docx")


def test_an_unknown_kind_is_refused_with_the_formats_that_are_known() -> None:
    with pytest.raises(Unsupported, match="markdown"):
        list(parsers.parse(Source("file:///a.mp3", "audio/mpeg", b"\xff\xfb\x90")))


def test_an_encrypted_office_file_is_named_as_such() -> None:
    content = b"\xd0\xcf\x11\xe0\xa1\xb1\x1a\xe1" + bytes(600) + "EncryptedPackage".encode("utf-16-le") + bytes(600)
    with pytest.raises(Encrypted, match=r"secret\.docx"):
        list(parsers.parse(sources.from_upload("secret.docx", content)))
