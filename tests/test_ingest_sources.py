"""Which files a path means, and what reading one of them gives or refuses."""

import os
import socket
from pathlib import Path

import pytest

from ingest import media_types, parsers, sources
from ingest.errors import TooLarge, Unreadable
from tests.samples import first as samples


def tree(folder: Path, *names: str) -> None:
    for name in names:
        path = folder / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text("x")


def found(*paths: Path) -> list[str]:
    return [path.name for path in sources.find(paths)]


def relative(folder: Path) -> list[str]:
    return [path.relative_to(folder).as_posix() for path in sources.find([folder])]


def test_folders_are_walked_in_the_order_of_names(tmp_path: Path) -> None:
    tree(tmp_path, "b.txt", "a/z.txt", "a/y.txt", "c/d/e.md", "B.txt")
    assert relative(tmp_path) == ["B.txt", "a/y.txt", "a/z.txt", "b.txt", "c/d/e.md"]


def test_hidden_files_and_junk_are_left_out_of_folders_but_taken_when_named(tmp_path: Path) -> None:
    junk = [".git/config", "node_modules/a.md", "__pycache__/a.txt", ".venv/x.txt", "a.pyc", "Thumbs.db", ".DS_Store"]
    tree(tmp_path, *junk, "~$letter.docx", "notes.txt~", "kept.md", "sub/.hidden.md")
    assert relative(tmp_path) == ["kept.md"]
    assert found(tmp_path / "node_modules" / "a.md", tmp_path / ".git" / "config") == ["a.md", "config"]


def test_ragignore_at_every_level(tmp_path: Path) -> None:
    tree(tmp_path, "a.log", "keep.md", "drafts/x.md", "sub/a.log", "sub/keep.log", "sub/deep/b.log", "sub/only.md")
    (tmp_path / ".ragignore").write_text("# comment\n*.log\ndrafts/\n/sub/only.md\n")
    (tmp_path / "sub" / ".ragignore").write_text("!keep.log\n")
    assert relative(tmp_path) == ["keep.md", "sub/keep.log"]


def test_a_file_is_given_once_and_links_in_a_circle_end(tmp_path: Path) -> None:
    tree(tmp_path, "a/one.txt", "b/two.txt")
    (tmp_path / "a" / "back").symlink_to(tmp_path, target_is_directory=True)
    (tmp_path / "b" / "self").symlink_to(tmp_path / "b" / "self")
    (tmp_path / "b" / "copy.txt").symlink_to(tmp_path / "a" / "one.txt")
    assert sorted(found(tmp_path, tmp_path / "a", tmp_path / "b" / "two.txt")) == ["one.txt", "two.txt"]


def test_a_link_to_a_folder_elsewhere_is_followed(tmp_path: Path) -> None:
    tree(tmp_path, "outside/far.txt", "inside/near.txt")
    (tmp_path / "inside" / "link").symlink_to(tmp_path / "outside", target_is_directory=True)
    assert found(tmp_path / "inside") == ["far.txt", "near.txt"]


def test_pipes_and_sockets_are_neither_found_nor_opened(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    os.mkfifo(tmp_path / "pipe.txt")
    tree(tmp_path, "a.txt")
    monkeypatch.chdir(tmp_path)  # the path of a socket must be short
    with socket.socket(socket.AF_UNIX) as listener:
        listener.bind("s.txt")
        assert found(tmp_path) == ["a.txt"]
    with pytest.raises(Unreadable, match="not a regular file"):
        sources.read(tmp_path / "pipe.txt", max_bytes=100)


def test_what_is_missing_or_forbidden_says_so(tmp_path: Path) -> None:
    missing = tmp_path / "missing.txt"
    assert list(sources.find([missing])) == [missing]
    with pytest.raises(Unreadable, match=r"missing\.txt: No such file"):
        sources.read(missing, max_bytes=100)
    with pytest.raises(Unreadable):
        sources.read(tmp_path, max_bytes=100)
    with pytest.raises(Unreadable, match="regular"):
        sources.read(Path("/dev/null"), max_bytes=100)


def test_the_limit_of_bytes(tmp_path: Path) -> None:
    path = tmp_path / "a.txt"
    path.write_bytes(b"x" * 1001)
    assert sources.read(path, max_bytes=1001).content == b"x" * 1001
    with pytest.raises(TooLarge, match="1,001 bytes, over the limit of 1,000"):
        sources.read(path, max_bytes=1000)


def test_addresses_are_absolute(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    tree(tmp_path, "a b.txt")
    monkeypatch.chdir(tmp_path)
    assert sources.read(Path("a b.txt"), max_bytes=10).uri == (tmp_path / "a b.txt").as_uri()


@pytest.mark.parametrize(
    ("name", "content", "kind"),
    [
        ("a.txt", b"%PDF-1.4 ...", "application/pdf"),
        ("a.pdf", b"plain words", "application/pdf"),
        ("a.bin", samples.docx(), media_types.DOCX),
        ("a.docx", b"PK\x03\x04 cut off", media_types.DOCX),
        ("a.zip", b"PK\x03\x04 something", "application/zip"),
        ("a.txt", b"  <!DOCTYPE html><html>", "text/html"),
        ("LICENSE", b"Permission is granted", "text/plain"),
        ("A.MD", b"# x", "text/markdown"),
        ("data", b"\x00\x01\x02", media_types.BINARY),
        ("a.md", b"\x89PNG\r\n", "image/png"),
        ("corpus.jsonl", b"{}", "application/jsonl"),
        ("letter.rtf", b"{\\rtf1", "application/rtf"),
        ("MZ.txt", b"MZ is a band.", "text/plain"),
    ],
)
def test_media_types(name: str, content: bytes, kind: str) -> None:
    assert media_types.of(name, content) == kind


def test_what_is_taken_from_folders() -> None:
    assert all(parsers.supported(Path(f"a{suffix}")) for suffix in (".md", ".TXT", ".pdf", ".docx", ".csv", ".jsonl"))
    assert not any(parsers.supported(Path(name)) for name in ("a.mp3", "a.exe", "LICENSE", "a.iso"))


def test_uploads_keep_only_the_name_of_their_file() -> None:
    source = sources.from_upload("..\\dir/../my file.md", b"# x", "application/pdf")
    assert (source.uri, source.media_type) == ("upload:my%20file.md", "text/markdown")
    assert sources.from_upload("noname", b"# x", "text/markdown; charset=utf-8").media_type == "text/markdown"
    assert sources.from_upload("", b"x").uri == "upload:unnamed"


def test_texts_in_memory() -> None:
    first = sources.from_text("# One")
    assert first == sources.from_text("# One")
    assert first.uri != sources.from_text("# Two").uri
    given = sources.from_text("a \ud800", uri="x:1", media_type="text/plain")
    assert (given.uri, given.media_type, given.content) == ("x:1", "text/plain", "a \ufffd".encode())
