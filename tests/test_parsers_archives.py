"""What becomes of archives: every member a document of its own, and every hostile one an end with a reason."""

import bz2
import gzip
import lzma
import struct
import tarfile
import zipfile
import zlib
from functools import partial
from pathlib import Path

import pytest

from ingest import media_types, parsers, sources
from ingest.clean import assemble
from ingest.errors import Damaged, Encrypted, IngestError, TooLarge
from ingest.formats import allowance
from ingest.types import Document, Failed, Parsed, Source
from tests.samples import archives as samples
from tests.samples import first, mail
from tests.samples.archives import TEXT, entry, tarred, zipped


def read(name: str, content: bytes, *passwords: str) -> list[Document | Failed]:
    found = sources.from_upload(name, content)
    source = Source(found.uri, found.media_type, content, passwords)
    return [assemble(source, item) if isinstance(item, Parsed) else item for item in parsers.parse(source)]


def paths(found: list[Document | Failed]) -> list[str]:
    assert all(isinstance(item, Document) for item in found)
    return [item.uri.partition("#")[2].replace("%2F", "/") for item in found]


def one_good(name: str, content: bytes, *passwords: str) -> str:
    """The reason why all but the good member failed: there is one such, and it names itself."""
    found = read(name, content, *passwords)
    (good,) = [item for item in found if isinstance(item, Document)]
    (bad,) = [item for item in found if isinstance(item, Failed)]
    assert good.text == TEXT.decode().strip()
    assert bad.uri in bad.reason
    return bad.reason


def reason(name: str, content: bytes, *passwords: str) -> str:
    """Why the whole is refused."""
    with pytest.raises(IngestError) as caught:
        read(name, content, *passwords)
    assert f"upload:{name}" in str(caught.value)
    return f"{type(caught.value).__name__}: {caught.value}"


def until_it_ends(source: Source) -> tuple[list[Parsed | Failed], IngestError | None]:
    """What came out, and why no more did."""
    found: list[Parsed | Failed] = []
    try:
        for item in parsers.parse(source):
            found.append(item)
    except IngestError as error:
        return found, error
    return found, None


# ── what archives hold ──────────────────────────────────────────────────────────────────────────────────────────────


@pytest.mark.parametrize("sample", samples.SAMPLES["archive"][:5], ids=lambda sample: sample.name)
def test_members_are_documents_of_their_own(sample: samples.Sample) -> None:
    text, table = read(sample.name, sample.content)
    assert isinstance(text, Document)
    assert isinstance(table, Document)
    assert text.uri == f"upload:{sample.name}#sea%2Fturbines.txt"
    assert (text.name, text.media_type) == ("turbines.txt", "text/plain")
    assert (table.name, table.media_type) == ("parts.csv", "text/csv")


@pytest.mark.parametrize("sample", samples.SAMPLES["archive"][5:], ids=lambda sample: sample.name)
def test_a_single_packed_file_is_read(sample: samples.Sample) -> None:
    (found,) = read(sample.name, sample.content)
    assert isinstance(found, Document)
    assert (found.uri, found.name) == (f"upload:{sample.name}#sea.txt", "sea.txt")
    assert found.text == TEXT.decode().strip()


def test_hidden_files_junk_folders_and_unknown_kinds_are_passed_over_as_in_folders() -> None:
    kept = {"a.txt": TEXT, "b/c.md": b"# C\n\nText.", "README": TEXT, "./d.txt": TEXT, "e\\f.txt": TEXT}
    dropped = {
        ".hidden.txt": TEXT,
        "__MACOSX/._a.txt": b"x",
        "node_modules/x.md": TEXT,
        ".git/a.txt": TEXT,
        "a.txt~": TEXT,
        "~$b.docx": b"x",
        "film.mp4": b"\x00" * 50,
        "tool": b"\x7fELF\x00",
    }
    expected = ["a.txt", "b/c.md", "README", "d.txt", "e/f.txt"]
    assert paths(read("a.zip", zipped({"folder/": b"", **dropped, **kept}))) == expected
    members = [entry(name, content) for name, content in {**dropped, **kept}.items()]
    assert paths(read("a.tar", tarred(entry("folder", type=tarfile.DIRTYPE), *members))) == expected


def test_an_archive_without_anything_to_read_says_so() -> None:
    assert reason("a.zip", zipped({"film.mp4": b"x", "tool": b"\x7fELF"})).startswith(
        "Unsupported: upload:a.zip: none of its 2"
    )
    assert reason("a.zip", zipped({})).startswith("Empty")
    assert reason("a.zip", zipped({".hidden": b"x"})).startswith("Empty")
    assert reason("a.tar", tarred()).startswith("Empty")
    (failed,) = read("a.tgz", gzip.compress(tarred()))
    assert isinstance(failed, Failed)
    assert failed.reason.startswith("upload:a.tgz#a.tar: there are no files")


def test_containers_within_containers() -> None:
    inner = zipped({"sea.eml": mail.eml(), "one.txt.gz": gzip.compress(TEXT)})
    found = read("a.tgz", gzip.compress(tarred(entry("x/inner.zip", inner), entry("lines.jsonl", first.jsonl()))))
    assert paths(found) == [
        "x/inner.zip/sea.eml",
        "x/inner.zip/sea.eml/Bauteile%20f%C3%BCr%20S%C3%B8ren.csv",
        "x/inner.zip/sea.eml/part-2.eml",
        "x/inner.zip/one.txt.gz/one.txt",
        "lines.jsonl/d1",
        "lines.jsonl/2",
        "lines.jsonl/three",
    ]


def test_a_member_that_cannot_be_read_does_not_stop_the_others() -> None:
    broken = {"a.pdf": b"%PDF-1.4 broken", "good.txt": TEXT}
    assert "a.pdf" in one_good("a.zip", zipped(broken))
    assert "a.pdf" in one_good("a.tar", tarred(*[entry(name, content) for name, content in broken.items()]))
    lines = b'{"_id": "a", "text": "' + TEXT.strip() + b'"}\n{bad\n'
    (_, failed) = read("a.zip", zipped({"c.jsonl": lines}))
    assert isinstance(failed, Failed)
    assert failed.uri == "upload:a.zip#c.jsonl%2Fline=2"


def test_an_office_file_in_an_archive_is_no_reason_to_take_the_archive_for_one() -> None:
    content = zipped({"a.docx": first.docx(), "b.txt": TEXT}, zipfile.ZIP_STORED)
    assert media_types.of("a.zip", content) == "application/zip"
    assert paths(read("a.zip", content)) == ["a.docx", "b.txt"]


def test_an_office_file_of_an_unknown_kind_is_not_opened_as_an_archive() -> None:
    content = zipped({"visio/document.xml": b"<a>text</a>", "[Content_Types].xml": b"<Types/>"})
    assert reason("a.vsdx", content).startswith("Unsupported")


def test_names_that_occur_twice_are_told_apart() -> None:
    four = zipped({"a.txt": TEXT, "b.txt": TEXT, "c.txt": TEXT, "a.txt~2.txt": TEXT})
    content = four.replace(b"b.txt", b"a.txt").replace(b"c.txt", b"a.txt")
    found = read("a.zip", content)
    assert paths(found) == ["a.txt", "a.txt~2", "a.txt~3", "a.txt~2.txt"]
    assert [(item.name, item.media_type) for item in found if isinstance(item, Document)][1] == ("a.txt", "text/plain")
    assert paths(read("a.tar", tarred(entry("a", TEXT), entry("a", TEXT), entry("a~2", TEXT)))) == ["a", "a~2", "a~2~2"]


def test_names_in_old_encodings() -> None:
    utf8 = zipped({"N?rrebro.txt": TEXT}).replace(b"N?rrebro.txt", b"N\x9brrebro.txt")  # code page 437
    assert paths(read("a.zip", utf8)) == ["N%C2%A2rrebro.txt"]
    unflagged = zipped({"N??rrebro.txt": TEXT}).replace(b"N??rrebro.txt", "Nørrebro.txt".encode())
    assert paths(read("a.zip", unflagged)) == ["N%C3%B8rrebro.txt"]
    latin = tarred(entry("Århus og Nørrebro og Rødovre.txt", TEXT), encoding="latin-1")
    (found,) = read("a.tar", latin)
    assert isinstance(found, Document)
    assert found.name.endswith("rhus og Nørrebro og Rødovre.txt")


# ── names and links that lead elsewhere ─────────────────────────────────────────────────────────────────────────────

HOSTILE_NAMES = [
    "../../etc/passwd",
    "/etc/passwd.txt",
    "C:\\Windows\\a.txt",
    "..\\..\\a.txt",
    "a/../../b.txt",
    "c:a.txt",
]


@pytest.mark.parametrize("name", HOSTILE_NAMES)
def test_names_that_lead_out_of_the_archive_are_refused(name: str) -> None:
    assert "leads out" in one_good("a.zip", zipped({name: b"x", "good.txt": TEXT}))
    assert "leads out" in one_good("a.tar", tarred(entry(name, b"x"), entry("good.txt", TEXT)))


def test_a_name_with_a_nul_is_refused() -> None:
    content = zipped({"a.txt?.exe": b"x", "good.txt": TEXT}).replace(b"a.txt?.exe", b"a.txt\x00.exe")
    assert "leads out" in one_good("a.zip", content)


@pytest.mark.parametrize("kind", [tarfile.SYMTYPE, tarfile.LNKTYPE])
@pytest.mark.parametrize("target", ["/etc/passwd", "../../../etc/passwd"])
def test_links_that_lead_out_of_a_tar_are_refused(kind: bytes, target: str) -> None:
    content = tarred(entry("x/link.txt", type=kind, linkname=target), entry("good.txt", TEXT))
    assert "a link that leads out" in one_good("a.tar", content)


def test_links_that_lead_out_of_a_zip_are_refused() -> None:
    assert "a link that leads out" in one_good("a.zip", samples.zip_link("x/link.txt", "/etc/passwd"))
    assert "a link that leads out" in one_good("a.zip", samples.zip_link("x/link.txt", "../../a"))


def test_links_within_an_archive_hold_nothing_of_their_own() -> None:
    links = [
        entry("b.txt", type=tarfile.SYMTYPE, linkname="good.txt"),
        entry("c.txt", type=tarfile.LNKTYPE, linkname="good.txt"),
    ]
    loop = [entry("d", type=tarfile.SYMTYPE, linkname="d"), entry("e", type=tarfile.SYMTYPE, linkname=".")]
    assert paths(read("a.tar", tarred(entry("good.txt", TEXT), *links, *loop))) == ["good.txt"]
    assert paths(read("a.zip", samples.zip_link("b.txt", "good.txt"))) == ["good.txt"]


@pytest.mark.parametrize("kind", [tarfile.CHRTYPE, tarfile.BLKTYPE, tarfile.FIFOTYPE])
def test_devices_are_refused(kind: bytes) -> None:
    assert "device" in one_good("a.tar", tarred(entry("zero.txt", type=kind), entry("good.txt", TEXT)))


# ── bombs ───────────────────────────────────────────────────────────────────────────────────────────────────────────

MB = 1024 * 1024


def test_a_member_that_is_too_large_is_left_alone() -> None:
    info, _ = entry("big.txt")
    info.size = 5 * 1024 * MB
    content = tarred(entry("good.txt", TEXT))[:1024] + info.tobuf(tarfile.GNU_FORMAT)
    (good, bad), error = until_it_ends(sources.from_upload("a.tar", content))
    assert isinstance(good, Parsed)
    assert isinstance(bad, Failed)
    assert "at most 67,108,864" in bad.reason
    assert isinstance(error, Damaged)  # it breaks off
    stated = struct.pack("<II", len(TEXT), len(TEXT))
    huge = zipped({"big.txt": TEXT, "good.txt": TEXT + b" ", "pad": bytes(400_000)}, zipfile.ZIP_STORED)
    assert "at most 67,108,864" in one_good("a.zip", huge.replace(stated, struct.pack("<II", len(TEXT), 66 * MB)))


@pytest.mark.parametrize("suffix", ["gz", "bz2", "xz"])
def test_a_packed_file_that_blows_up_is_refused(suffix: str) -> None:
    pack = {"gz": gzip.compress, "bz2": bz2.compress, "xz": partial(lzma.compress, preset=0)}[suffix]
    part = pack(bytes(13 * MB))  # all three formats may be joined
    assert reason(f"a.txt.{suffix}", part * 5) == (
        f"TooLarge: upload:a.txt.{suffix}: it unpacks to over 67,108,864 bytes; split it, or add it unpacked"
    )


def test_an_xz_file_that_asks_for_gigabytes_of_memory_is_refused() -> None:
    filters = [{"id": lzma.FILTER_LZMA2, "preset": 0, "dict_size": 1 << 20}]
    content = lzma.compress(TEXT, check=lzma.CHECK_NONE, filters=filters)
    assert read("a.txt.xz", content)
    # The block header: size, flags, filter, size of its properties, dictionary size, padding, CRC.
    header = bytearray(content[12:20])
    header[4] = 38  # 2 GiB
    hostile = content[:12] + bytes(header) + struct.pack("<I", zlib.crc32(header)) + content[24:]
    assert "Damaged" in reason("a.txt.xz", hostile)
    assert "emory" in reason("a.txt.xz", hostile)


def test_a_zip_bomb_is_refused_before_it_is_unpacked() -> None:
    content = zipped({f"{n}.txt": bytes(40 * MB) for n in range(2)})
    assert reason("a.zip", content).startswith("TooLarge: upload:a.zip: it unpacks to 83,886,080 bytes")


def test_members_that_overlap_are_refused() -> None:
    content = zipped({f"{n}.txt": TEXT for n in range(3)})
    at = content.index(b"PK\x01\x02", content.index(b"PK\x01\x02") + 1)
    first_offset = content[content.index(b"PK\x01\x02") + 42 :][:4]
    hostile = content[: at + 42] + first_offset + content[at + 46 :]
    assert "lie over one another" in reason("a.zip", hostile)


def test_more_members_than_allowed_are_refused_before_they_are_listed() -> None:
    entry = struct.pack("<4s6H3I5H2I", b"PK\x01\x02", 20, 20, 0, 0, 0, 0, 0, 0, 0, 1, 0, 0, 0, 0, 0, 0) + b"a"
    directory = entry * 100_000
    end = struct.pack("<4s4H2IH", b"PK\x05\x06", 0, 0, 0xFFFF, 0xFFFF, len(directory), 0, 0)
    hostile = b"PK\x03\x04" + directory + end
    assert reason("a.zip", hostile).startswith("TooLarge: upload:a.zip: there are over 10,000 members")


def test_more_members_of_a_tar_than_allowed_end_it() -> None:
    block = entry("x", type=tarfile.DIRTYPE)[0].tobuf()  # a folder counts too
    few = allowance.Allowance(members=100)
    content = block * 101 + bytes(2 * tarfile.BLOCKSIZE)
    assert "over 10,000 members" in str(
        until_it_ends(Source("upload:a.tar", "application/x-tar", content, allowance=few))[1]
    )
    assert reason("a.tar", content).startswith("Empty")


def test_all_archives_in_one_file_share_one_allowance() -> None:
    """Each inner archive alone is within the limits."""
    limits = allowance.Allowance(members=1000, unpacked=2 * MB)
    inner = zipped({"a.txt": b"word " * 100_000})
    content = zipped({f"{n}.zip": inner for n in range(9)})
    found, error = until_it_ends(Source("upload:a.zip", "application/zip", content, allowance=limits))
    assert [type(item) for item in found] == [Parsed] * 4 + [Failed]
    assert isinstance(found[-1], Failed)
    assert found[-1].uri == "upload:a.zip#4.zip"
    assert "upload:a.zip: its limits are used up at 4.zip" in str(error)
    assert until_it_ends(Source("upload:a.zip", "application/zip", content))[1] is None


def test_a_nested_bomb_ends_with_reasons() -> None:
    """Like 42.zip: levels of sixteen archives each, 2 TB in all."""
    content = zipped({f"{n}.txt": bytes(30 * MB) for n in range(1)})
    for _ in range(4):
        content = zipped({f"{n}.zip": content for n in range(16)})
    found, error = until_it_ends(sources.from_upload("42.zip", content))
    assert isinstance(error, TooLarge)
    assert len(found) < 100
    assert all(isinstance(item, Failed) for item in found)


def test_a_tar_that_blows_up_is_stopped() -> None:
    end = 2 * tarfile.BLOCKSIZE
    large, _ = entry("large.bin", bytes(60 * MB))
    part = gzip.compress(large.tobuf() + bytes(60 * MB), 1)
    content = gzip.compress(tarred(entry("good.txt", TEXT))[:end]) + part * 5
    found, error = until_it_ends(sources.from_upload("a.tgz", content))
    assert isinstance(error, TooLarge)
    assert "unpack to over 268,435,456 bytes" in str(error)
    assert [type(item) for item in found] == [Parsed]


def test_archives_in_archives_end() -> None:
    content = zipped({"a.txt": TEXT})
    for _ in range(9):
        content = zipped({"in.zip": content, "a.txt": TEXT})
    found = read("a.zip", content)
    assert sum(isinstance(item, Document) for item in found) == 5
    assert [item.reason for item in found if isinstance(item, Failed) and "at most 5 are opened" in item.reason]


# ── damage ──────────────────────────────────────────────────────────────────────────────────────────────────────────


def test_what_is_cut_off_says_so() -> None:
    long = b"".join(b"%d %d\n" % (n, n * n) for n in range(20_000))
    assert "Damaged" in reason("a.zip", zipped({"a.txt": long})[:900])
    assert "Damaged" in reason("a.txt.gz", gzip.compress(long)[:900])
    assert "Damaged" in reason("a.txt.xz", lzma.compress(long)[:900])
    cut = tarred(entry("a.txt", TEXT), entry("b.txt", long))[:9000]
    found, error = until_it_ends(sources.from_upload("a.tar", cut))
    assert [type(item) for item in found] == [Parsed, Failed]
    assert "upload:a.tar: it is cut off" in str(error)


def test_a_tar_with_a_broken_header_does_not_end_silently() -> None:
    content = tarred(entry("a.txt", TEXT), entry("b.txt", TEXT))
    found, error = until_it_ends(sources.from_upload("a.tar", content[:1024] + b"\xff" * 20 + content[1044:]))
    assert [type(item) for item in found] == [Parsed]
    assert isinstance(error, Damaged)


@pytest.mark.parametrize("size", [-1024, -1])
def test_a_tar_that_goes_backwards_is_damaged(size: int) -> None:
    info, _ = entry("a.txt")
    info.size = size
    assert "Damaged" in reason("a.tar", tarred(entry("b.bin"))[:512] + info.tobuf(tarfile.GNU_FORMAT) + bytes(1024))
    pax = tarfile.TarInfo("b.txt")
    pax.pax_headers = {"size": str(size)}
    assert "Damaged" in reason("a.tar", tarred(entry("b.bin"))[:512] + pax.tobuf(tarfile.PAX_FORMAT) + bytes(1024))


def test_a_wrong_checksum_is_damage() -> None:
    content = zipped({"a.txt": b"abcdefgh" * 9, "good.txt": TEXT}, zipfile.ZIP_STORED).replace(b"abcdefgh", b"abcdefgX")
    assert "cut off or damaged" in one_good("a.zip", content)


# ── encryption ──────────────────────────────────────────────────────────────────────────────────────────────────────


def zip_crypto(name: str, content: bytes, password: bytes, others: dict[str, bytes]) -> bytes:
    """A zip with one member encrypted as PKWARE did at first (APPNOTE 6.1)."""
    keys = [0x12345678, 0x23456789, 0x34567890]
    table = [zlib.crc32(bytes([n]), 0xFFFFFFFF) ^ 0xFFFFFFFF ^ 0xFF000000 for n in range(256)]
    assert len(set(table)) == 256

    def crc(value: int, byte: int) -> int:
        return zlib.crc32(bytes([byte]), value ^ 0xFFFFFFFF) ^ 0xFFFFFFFF

    def update(byte: int) -> None:
        keys[0] = crc(keys[0], byte)
        keys[1] = ((keys[1] + (keys[0] & 0xFF)) * 134775813 + 1) & 0xFFFFFFFF
        keys[2] = crc(keys[2], keys[1] >> 24)

    for byte in password:
        update(byte)
    checksum = zlib.crc32(content)
    packed = bytearray()
    for byte in bytes(11) + bytes([checksum >> 24]) + content:
        mask = (keys[2] | 2) & 0xFFFF
        packed.append(byte ^ ((mask * (mask ^ 1)) >> 8 & 0xFF))
        update(byte)
    plain = zipped({name: bytes(packed), **others}, zipfile.ZIP_STORED)
    stated = struct.pack("<III", zlib.crc32(packed), len(packed), len(packed))
    meant = struct.pack("<III", checksum, len(packed), len(content))
    changed = plain.replace(stated, meant)
    for signature, offset in ((b"PK\x03\x04", 6), (b"PK\x01\x02", 8)):
        at = changed.index(signature) + offset
        changed = changed[:at] + b"\x01\x00" + changed[at + 2 :]
    return changed


def test_encrypted_members_are_opened_with_a_password() -> None:
    content = zip_crypto("secret.txt", b"Hidden words.\n", b"sesame", {"good.txt": TEXT})
    secret, good = read("a.zip", content, "wrong", "sesame")
    assert isinstance(secret, Document)
    assert (secret.text, good.uri) == ("Hidden words.", "upload:a.zip#good.txt")
    assert "no given password opens it" in one_good("a.zip", content, "wrong")
    assert "is encrypted" in one_good("a.zip", content)
    alone = zip_crypto("secret.txt", b"Hidden words.\n", b"sesame", {})
    with pytest.raises(Encrypted, match="--password"):
        read("a.zip", alone)


# ── real files ──────────────────────────────────────────────────────────────────────────────────────────────────────


def test_the_archives_of_the_zoo(shared_data: Path) -> None:
    files = shared_data / "zoo-a" / "files"
    content = (files / "zip_of_files.zip").read_bytes()
    assert paths(read("z.zip", content)) == ["ideas-page.html", "stanley-cups.csv"]
    found = read("droste.zip", (files / "zip_quine_droste.zip").read_bytes())
    reasons = [item.reason for item in found if isinstance(item, Failed)]
    assert any("the archive contains itself" in said for said in reasons)
    assert not [item for item in found if isinstance(item, Document)]
