"""Ranks and scores as columns of bytes: a fifth of what they take as JSON, and every bit of them kept.

A ranking of n hits is [[chunk_id, score, {stage: [rank, score]}], …]. Its numbers are laid out column by column, the
first bytes of all of them before the second, which zlib (RFC 1950) then finds alike.
"""

import struct
import zlib
from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np
from numpy.typing import NDArray
from sqlalchemy import Dialect, LargeBinary, TypeDecorator

from rag.rankings.arrays import Columns, columns
from rag.types import Hit, Part

Stages = Mapping[str, Sequence[float]]  # by stage: rank and score
Ranked = Sequence[tuple[int, float, Stages] | list[Any]]  # chunk id, score, stages; lists where JSON wrote them
VERSION = 1


def packed_stages(stages: Stages) -> bytes:
    """One hit's ranks and scores."""
    out = bytearray([VERSION])
    for name, (rank, score) in stages.items():
        raw = name.encode()
        short = struct.unpack("<f", struct.pack("<f", score))[0] == score if abs(score) < 1e38 else False
        out += struct.pack("<BBI", len(raw), short, int(rank)) + raw + struct.pack("<f" if short else "<d", score)
    return bytes(out)


def unpacked_stages(raw: bytes) -> dict[str, list[float]]:
    """What `packed_stages` was given. Raises ValueError where it is of another version."""
    _check(raw)
    found: dict[str, list[float]] = {}
    at = 1
    while at < len(raw):
        length, short, rank = struct.unpack_from("<BBI", raw, at)
        at += 6
        name = raw[at : at + length].decode()
        (score,) = struct.unpack_from("<f" if short else "<d", raw, at + length)
        found[name] = [rank, score]
        at += length + (4 if short else 8)
    return found


def packed_ranking(hits: Ranked | Columns) -> bytes | None:
    """A ranking; None where it is empty."""
    if not len(hits):
        return None
    held = hits if isinstance(hits, Columns) else _columns(hits)
    names = [name for name, (ranks, _) in held.parts.items() if ranks.any()]
    if len(names) > 32:
        raise ValueError(f"a ranking has 32 stages at most, not {len(names)}")
    marks = np.zeros(len(held), np.uint32)
    stages = b""
    for i, name in enumerate(names):
        ranks, scores = held.parts[name]
        having = ranks > 0
        marks |= having.astype(np.uint32) << np.uint32(i)
        stages += _column(ranks[having], "<u4") + _column(scores[having], "<f8")
    head = "\n".join(names).encode()
    told = struct.pack("<II", len(held), len(head)) + head
    told += _column(held.ids, "<i8") + _column(held.scores, "<f8") + _column(marks, "<u4") + stages
    return bytes([VERSION]) + zlib.compress(told, 6)


def unpacked_ranking(raw: bytes | None) -> list[list[Any]]:
    """What `packed_ranking` was given, as lists. Raises ValueError where it is of another version."""
    if raw is None:
        return []
    _check(raw)
    data = zlib.decompress(raw[1:])
    n, head = struct.unpack_from("<II", data)
    names = data[8 : 8 + head].decode().split("\n") if head else []
    at = 8 + head

    def column(count: int, kind: str) -> list[Any]:
        nonlocal at
        size = np.dtype(kind).itemsize
        part = np.frombuffer(data, np.uint8, count * size, at).reshape(size, count)
        at += count * size
        values: list[Any] = np.ascontiguousarray(part.T).view(kind).reshape(count).tolist()
        return values

    ids, scores, marks = column(n, "<i8"), column(n, "<f8"), column(n, "<u4")
    stages: list[dict[str, list[float]]] = [{} for _ in range(n)]
    for i, name in enumerate(names):
        having = [hit for hit in range(n) if marks[hit] >> i & 1]
        for hit, rank, score in zip(having, column(len(having), "<u4"), column(len(having), "<f8"), strict=True):
            stages[hit][name] = [rank, score]
    return [[key, score, told] for key, score, told in zip(ids, scores, stages, strict=True)]


def _columns(hits: Ranked) -> Columns:
    return columns([Hit(key, score, {name: Part(*part) for name, part in told.items()}) for key, score, told in hits])


def _column(values: NDArray[np.generic], kind: str) -> bytes:
    """The bytes of all values, those of one place next to each other."""
    array = np.ascontiguousarray(values, dtype=kind)
    return array.view(np.uint8).reshape(len(values), -1).T.tobytes()


def _check(raw: bytes) -> None:
    if raw[0] != VERSION:
        raise ValueError(f"ranks and scores of version {raw[0]}, which this program cannot read; upgrade rag")


class PackedRanking(TypeDecorator[Ranked]):
    """A ranking in a column; NULL where it is empty."""

    impl = LargeBinary
    cache_ok = True

    def process_bind_param(self, value: Ranked | Columns | None, dialect: Dialect) -> bytes | None:
        return None if value is None else packed_ranking(value)

    def process_result_value(self, value: bytes | None, dialect: Dialect) -> list[list[Any]]:
        return unpacked_ranking(value)


class PackedStages(TypeDecorator[Stages]):
    """One hit's ranks and scores in a column."""

    impl = LargeBinary
    cache_ok = True

    def process_bind_param(self, value: Stages | None, dialect: Dialect) -> bytes | None:
        return None if value is None else packed_stages(value)

    def process_result_value(self, value: bytes | None, dialect: Dialect) -> dict[str, list[float]] | None:
        return None if value is None else unpacked_stages(value)
