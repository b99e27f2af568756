"""Sentence-transformers models by ONNX Runtime: `sentence_transformers:NAME[?precision=int8]`.

NAME is all-MiniLM-L6-v2 (in a package, nothing is downloaded), the path of a folder, or owner/name[@revision] on the
hub. Neither torch nor transformers is loaded here: the model is exported once, by a process of its own.

The same text gives the same vector to the last bit, whatever stands beside it, however many threads there are. Three
choices make it so: matrix products do not depend on how many rows they have, padding adds exact zeros, and pooling is
done here in float64, row by row. With int8 the scale of the activations is taken over the whole batch, so there every
text is a batch of its own.
"""

import hashlib
import json
import os
from collections.abc import Callable, Iterator, Sequence
from contextlib import suppress
from dataclasses import asdict
from functools import partial
from pathlib import Path
from threading import Lock, Thread
from typing import TYPE_CHECKING, Generic, TypeVar, get_args

import numpy as np
from numpy.typing import NDArray

from ingest.types import CountTokens
from rag.embedders.export import Form, Manifest, Precision, find, verify
from rag.embedders.export.sources import resolve
from rag.errors import ModelNotReady, WrongSetting
from rag.types import Vectors

if TYPE_CHECKING:
    from concurrent.futures import ThreadPoolExecutor

    from onnxruntime import InferenceSession
    from tokenizers import Tokenizer

BATCH_TOKENS = 1024  # padding included; at 16 texts of 210 tokens a batch 18 % slower than at 4, on two busy AVX2 cores
BATCH_TEXTS = 16
SLAB_TEXTS = 1024  # tokenised at once: the memory of a call does not grow with its number of texts
T = TypeVar("T")


class Once(Generic[T]):
    """A value that is made when it is first asked for, by one thread while the others wait."""

    def __init__(self, make: Callable[[], T]) -> None:
        self._make = make
        self._lock = Lock()
        self._made: list[T] = []

    def __call__(self) -> T:
        with self._lock:
            if not self._made:
                self._made.append(self._make())
            return self._made[0]

    def begin(self) -> None:
        """Start making it in the background, if nobody did; an error is raised to whoever asks for the value."""

        def attempt() -> None:
            with suppress(Exception):
                self()

        if not self._made:
            Thread(target=attempt, name="open-model").start()


class Network:
    """An exported model: texts → unit vectors. Opened on first use (about 55 ms), safe to use from several threads."""

    def __init__(self, folder: Path, form: Form, *, threads: int, batch_texts: int = BATCH_TEXTS) -> None:
        self._folder = folder
        self._form = form
        self._threads = threads
        self._batch_texts = batch_texts
        self._tokenizer = Once(self._open_tokenizer)
        self._session = Once(self._open_session)
        self._pool = Once(self._open_pool)

    def prepare(self) -> None:
        """Begin to open the model in the background, so that the first text waits less."""
        self._session.begin()

    def count_tokens(self, texts: Sequence[str]) -> list[int]:
        counts: list[int] = []
        for slab in _slabs(texts):
            counts += [len(encoding.ids) for encoding in self._tokenizer().encode_batch_fast(slab)]
        return counts

    def embed(self, texts: Sequence[str]) -> Vectors:
        """One unit row a text (n, dim), in their order. What is over max_tokens is cut."""
        rows = np.empty((len(texts), self._form.dim), dtype=np.float32)
        if not texts:
            return rows
        self._session.begin()  # it opens while the tokenizer is read: 17 ms saved on a cold start
        done = 0
        for slab in _slabs(texts):
            self._embed_slab(slab, rows[done : done + len(slab)])
            done += len(slab)
        return rows

    def _embed_slab(self, texts: list[str], rows: Vectors) -> None:
        tokens = self._tokens(texts)
        batches = list(self._batches([len(ids) for ids in tokens]))

        def run(batch: list[int]) -> None:
            rows[batch] = self._run([tokens[index] for index in batch])

        if self._threads == 1 or len(batches) == 1:
            for batch in batches:
                run(batch)
            return
        list(self._pool().map(run, batches))

    def _tokens(self, texts: list[str]) -> list[list[int]]:
        """Token ids of each text, special tokens included, cut to max_tokens the way the model was trained."""
        tokenizer, limit = self._tokenizer(), self._form.max_tokens
        tokens = [encoding.ids for encoding in tokenizer.encode_batch_fast(texts)]
        for index, ids in enumerate(tokens):
            if len(ids) > limit:
                cut = tokenizer.encode(texts[index], add_special_tokens=False)
                cut.truncate(limit - tokenizer.num_special_tokens_to_add(False))
                tokens[index] = tokenizer.post_process(cut).ids
        return tokens

    def _batches(self, lengths: list[int]) -> Iterator[list[int]]:
        """Indexes of texts of like length, longest first: little is padded, and no core waits long at the end."""
        batch: list[int] = []
        for index in sorted(range(len(lengths)), key=lambda index: (-lengths[index], index)):
            longest = lengths[batch[0]] if batch else 0
            if batch and (len(batch) == self._batch_texts or longest * (len(batch) + 1) > BATCH_TOKENS):
                yield batch
                batch = []
            batch.append(index)
        if batch:
            yield batch

    def _run(self, tokens: list[list[int]]) -> Vectors:
        lengths = [len(ids) for ids in tokens]
        shape = len(tokens), max(lengths)
        ids: NDArray[np.int64] = np.zeros(shape, dtype=np.int64)  # (n, tokens); what pads is masked
        mask: NDArray[np.int64] = np.zeros(shape, dtype=np.int64)
        for row, each in enumerate(tokens):
            ids[row, : len(each)] = each
            mask[row, : len(each)] = 1
        values = {"input_ids": ids, "attention_mask": mask, "token_type_ids": np.zeros(shape, dtype=np.int64)}
        (hidden,) = self._session().run(None, {name: values[name] for name in self._form.inputs})  # (n, tokens, dim)
        pooled = np.empty((len(tokens), self._form.dim))  # float64
        for row, length in enumerate(lengths):
            if self._form.pooling == "mean":
                np.mean(hidden[row, :length], axis=0, dtype=np.float64, out=pooled[row])
            else:
                pooled[row] = hidden[row, 0]
            pooled[row] /= np.sqrt(np.sum(pooled[row] ** 2))
        return pooled.astype(np.float32)

    def _open_pool(self) -> "ThreadPoolExecutor":
        from concurrent.futures import ThreadPoolExecutor

        return ThreadPoolExecutor(self._threads, thread_name_prefix="embed")

    def _open_tokenizer(self) -> "Tokenizer":
        return _tokenizer(self._folder / "tokenizer.json")

    def _open_session(self) -> "InferenceSession":
        import onnxruntime

        options = onnxruntime.SessionOptions()
        # One thread a run, several runs at once: as fast as the runtime's own threads, and none of them spins.
        options.intra_op_num_threads = 1
        options.inter_op_num_threads = 1
        options.log_severity_level = 3
        # The file holds the optimised graph already.
        options.graph_optimization_level = onnxruntime.GraphOptimizationLevel.ORT_DISABLE_ALL
        try:
            return onnxruntime.InferenceSession(
                str(self._folder / "model.onnx"), options, providers=_providers(onnxruntime.get_available_providers())
            )
        except Exception as error:  # the runtime's errors have no common class of their own
            raise ModelNotReady(f"the exported model in {self._folder} cannot be opened: {error}") from error


class SentenceTransformer:
    """An Embedder over an exported model."""

    def __init__(self, folder: Path, manifest: Manifest, *, threads: int) -> None:
        form = manifest.form
        self.name = f"sentence_transformers:{manifest.name}"
        if manifest.precision != "fp32":
            self.name += f"?precision={manifest.precision}"
        self.fingerprint = fingerprint(manifest)
        self.dim = form.dim
        self.max_tokens = form.max_tokens
        self._folder = folder
        self._form = form
        self._network = Network(
            folder, form, threads=threads, batch_texts=1 if manifest.precision == "int8" else BATCH_TEXTS
        )

    def count_tokens(self, texts: Sequence[str]) -> list[int]:
        """Tokens of each text as a passage, prefix and special tokens included; never capped."""
        return self._network.count_tokens(self._passages(texts))

    def counter(self) -> Callable[[], CountTokens]:
        """Makes `count_tokens` in another process; can be pickled."""
        return partial(open_counter, self._folder / "tokenizer.json", self._form.passage_prefix)

    def embed_queries(self, texts: Sequence[str]) -> Vectors:
        """One unit row a text (n, dim). Of a text over max_tokens the beginning is embedded."""
        return self._network.embed([self._form.query_prefix + _clean(text) for text in texts])

    def embed_passages(self, texts: Sequence[str]) -> Vectors:
        """One unit row a text (n, dim). Raises ValueError for a text over max_tokens: nothing is cut silently."""
        passages = self._passages(texts)
        for number, count in enumerate(self._network.count_tokens(passages)):
            if count > self.max_tokens:
                raise ValueError(f"passage {number} has {count} tokens, over the {self.max_tokens} of {self.name}")
        return self._network.embed(passages)

    def prepare(self) -> None:
        """Begin to open the model in the background; returns at once. Whoever knows that a query comes calls it."""
        self._network.prepare()

    def verify(self) -> None:
        """Read every byte of the exported model; raises ModelNotReady if one changed since it was made."""
        verify(self._folder)

    def _passages(self, texts: Sequence[str]) -> list[str]:
        return [self._form.passage_prefix + _clean(text) for text in texts]


def fingerprint(manifest: Manifest) -> str:
    """Readable prefix and a digest of everything that decides a vector: `all-MiniLM-L6-v2/fp32/onnx1/<16 hex>`.

    The recipe number stands for the runtime and for our own arithmetic. A newer ONNX Runtime may move the last bits
    (1e-7); that is no reason to embed everything again, and so its version is not in here.
    """
    decisive = {
        "name": manifest.name,
        "revision": manifest.revision,
        "source": manifest.source,
        "form": asdict(manifest.form),
        "normalised": True,
        "precision": manifest.precision,
        "runtime": f"onnx{manifest.recipe}",
    }
    digest = hashlib.sha256(json.dumps(decisive, sort_keys=True).encode()).hexdigest()[:16]
    return f"{manifest.name}/{manifest.precision}/onnx{manifest.recipe}/{digest}"


def load(rest: str, *, models_dir: Path, threads: int | None = None) -> SentenceTransformer:
    """The embedder for `NAME[?precision=fp32|int8]`, exported into `models_dir` first if need be (some 10 s, once).

    Raises WrongSetting for an unknown name or precision, ModelNotReady when the model is absent or not upstream's.
    """
    name, _, query = rest.partition("?")
    precision = _precision(query, rest)
    folder, manifest = find(resolve(name), precision, models_dir)
    return SentenceTransformer(folder, manifest, threads=threads or os.cpu_count() or 1)


def _precision(query: str, rest: str) -> Precision:
    for precision in get_args(Precision):
        if query == f"precision={precision}":
            return precision  # type: ignore[no-any-return]
    if query:
        raise WrongSetting(f"sentence_transformers:{rest}: after the ? write precision=fp32 or precision=int8")
    return "fp32"


def _providers(available: Sequence[str]) -> list[str]:
    """Where the model runs, of what the installed runtime offers: on CUDA where it can, else on the processor."""
    return [name for name in ("CUDAExecutionProvider", "CPUExecutionProvider") if name in available]


def open_counter(file: Path, prefix: str) -> CountTokens:
    """Counts the tokens of passages by a tokenizer's file, prefix and special tokens included; never capped."""
    tokenizer = _tokenizer(file)

    def count(texts: Sequence[str]) -> list[int]:
        passages = [prefix + _clean(text) for text in texts]
        return [len(found.ids) for slab in _slabs(passages) for found in tokenizer.encode_batch_fast(slab)]

    return count


def _tokenizer(file: Path) -> "Tokenizer":
    from tokenizers import Tokenizer

    try:
        tokenizer: Tokenizer = Tokenizer.from_file(str(file))
    except Exception as error:  # the library raises plain Exception
        raise ModelNotReady(f"the exported tokenizer {file} cannot be read: {error}") from error
    return tokenizer


def _clean(text: str) -> str:
    """The text with lone surrogates replaced: the tokenizer takes valid Unicode only."""
    return text.encode("utf-8", "replace").decode("utf-8")


def _slabs(texts: Sequence[str]) -> Iterator[list[str]]:
    for start in range(0, len(texts), SLAB_TEXTS):
        yield list(texts[start : start + SLAB_TEXTS])
