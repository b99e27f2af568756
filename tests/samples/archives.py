"""Samples of zip and tar archives and of single packed files."""

import bz2
import gzip
import io
import lzma
import stat
import tarfile
import zipfile
from collections.abc import Mapping

from tests.samples.sample import Sample

TEXT = "Tidal turbines harvest the moon in Nørrebro.\n".encode()


def zipped(members: Mapping[str, bytes], method: int = zipfile.ZIP_DEFLATED) -> bytes:
    buffer = io.BytesIO()
    with zipfile.ZipFile(buffer, "w", method) as archive:
        for name, content in members.items():
            archive.writestr(zipfile.ZipInfo(name), content, method)
    return buffer.getvalue()


def zip_link(name: str, target: str) -> bytes:
    """A zip with a text and a symbolic link."""
    buffer = io.BytesIO()
    with zipfile.ZipFile(buffer, "w") as archive:
        archive.writestr("good.txt", TEXT)
        info = zipfile.ZipInfo(name)
        info.external_attr = (stat.S_IFLNK | 0o777) << 16
        archive.writestr(info, target)
    return buffer.getvalue()


def entry(name: str, content: bytes = b"", **fields: object) -> tuple[tarfile.TarInfo, bytes]:
    """A member of a tar archive; `fields` as tarfile.TarInfo names them."""
    info = tarfile.TarInfo(name)
    info.size = len(content)
    for field, value in fields.items():
        setattr(info, field, value)
    return info, content


def tarred(*members: tuple[tarfile.TarInfo, bytes], encoding: str = "utf-8") -> bytes:
    buffer = io.BytesIO()
    with tarfile.open(fileobj=buffer, mode="w", format=tarfile.GNU_FORMAT, encoding=encoding) as archive:
        for info, content in members:
            archive.addfile(info, io.BytesIO(content) if info.isreg() else None)
    return buffer.getvalue()


def tar() -> bytes:
    return tarred(entry("sea/turbines.txt", TEXT), entry("sea/parts.csv", b"part,place\nhub,Odense\n"))


SAMPLES: dict[str, list[Sample]] = {
    "archive": [
        Sample("sea.zip", zipped({"sea/turbines.txt": TEXT, "sea/parts.csv": b"a,b\n1,2\n", ".DS_Store": b"x"}), "", 2),
        Sample("sea.tar", tar(), "", 2),
        Sample("sea.tar.gz", gzip.compress(tar(), mtime=0), "", 2),
        Sample("sea.tbz2", bz2.compress(tar()), "", 2),
        Sample("sea.tar.xz", lzma.compress(tar()), "", 2),
        Sample("sea.txt.gz", gzip.compress(TEXT, mtime=0), ""),
        Sample("sea.txt.bz2", bz2.compress(TEXT), ""),
        Sample("sea.txt.xz", lzma.compress(TEXT), ""),
    ]
}
"""By the name of the parser's module."""
