"""Bytes packed as gzip, bzip2 or xz, unpacked a piece at a time and counted against the allowance."""

import bz2
import gzip
import lzma
import zlib
from io import BytesIO
from typing import Protocol

from ingest.errors import Damaged, TooLarge
from ingest.formats.allowance import Allowance
from ingest.types import Source

MAX_XZ_MEMORY = 128 * 1024 * 1024
"""Bytes that an xz file may ask for to be unpacked; `xz -9` asks for 65 MiB."""

_PIECE = 64 * 1024


class _Readable(Protocol):
    def read(self, size: int) -> bytes: ...


class _Xz:
    """Like lzma.LZMAFile, with a limit of memory, which that one does not know."""

    def __init__(self, content: bytes) -> None:
        self._rest = memoryview(content)
        self._stream = self._next()

    def _next(self) -> lzma.LZMADecompressor:
        return lzma.LZMADecompressor(format=lzma.FORMAT_XZ, memlimit=MAX_XZ_MEMORY)

    def read(self, size: int) -> bytes:
        while True:
            if self._stream.eof:
                rest = bytes(self._stream.unused_data) + bytes(self._rest)
                rest = rest.lstrip(b"\x00")  # padding between streams
                if not rest:
                    return b""
                self._rest, self._stream = memoryview(rest), self._next()
            given = self._rest[:_PIECE] if self._stream.needs_input else b""
            if self._stream.needs_input and not given:
                raise EOFError("it ends before its end is marked")
            self._rest = self._rest[len(given) :]
            if piece := self._stream.decompress(given, size):
                return piece


class Unpacked:
    """A stream of what a packed source holds. Reading raises Damaged and TooLarge."""

    def __init__(self, source: Source, allowance: Allowance) -> None:
        self._uri, self._allowance = source.uri, allowance
        self._head = b""
        self._stream = self._opened(source)

    def _opened(self, source: Source) -> _Readable:
        if source.media_type == "application/gzip":
            return gzip.GzipFile(fileobj=BytesIO(source.content))
        if source.media_type == "application/x-bzip2":
            return bz2.BZ2File(BytesIO(source.content))
        return _Xz(source.content)

    def read(self, size: int) -> bytes:
        """Up to `size` bytes; b"" at the end."""
        if self._head:
            piece, self._head = self._head[:size], self._head[size:]
            return piece
        try:
            piece = self._stream.read(min(size, _PIECE))
        except (OSError, EOFError, zlib.error, lzma.LZMAError, ValueError, RuntimeError) as error:
            raise Damaged(f"{self._uri}: it is cut off or damaged ({error}); get it again or pack it again") from error
        self._allowance.unpack(len(piece), self._uri)
        return piece

    def peek(self, size: int) -> bytes:
        """The first bytes, which the next read gives again; fewer than `size` when there are no more."""
        head = bytearray()
        while len(head) < size and (piece := self.read(size - len(head))):
            head += piece
        self._head = bytes(head)
        return self._head

    def rest(self, limit: int) -> bytes:
        """All that is left. Raises TooLarge when that is more than `limit` bytes."""
        whole = bytearray()
        while piece := self.read(_PIECE):
            whole += piece
            if len(whole) > limit:
                raise TooLarge(f"{self._uri}: it unpacks to over {limit:,} bytes; split it, or add it unpacked")
        return bytes(whole)
