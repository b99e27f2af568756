"""What works in this process for an installation: its models, and the child processes that read sources.

Each is opened when first used, and once for all who ask the installation, by whatever settings they do.
"""

import gc
import os
import threading
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from typing import TYPE_CHECKING

from rag.config import Settings
from rag.errors import NotReady, WrongSetting
from rag.folders import make_folder
from rag.types import Embedder, Generator, Models, Reranker, Running, Scorer

if TYPE_CHECKING:
    from ingest.reading.pool import Pool
    from rag.types import Vectors

BITS = {"off": 0, "8bit": 8, "4bit": 4}  # of a weight, by the setting generator_quantize


class Engines:
    """Safe to share between threads; make one an installation and process."""

    def __init__(self) -> None:
        self.embedding: Embedder | None = None
        self.generators: dict[str, Generator] = {}  # by the name that they were asked for
        self.reading: Pool | None = None
        self._scorers: dict[tuple[str, ...], list[Scorer]] = {}
        self._rerankers: dict[str, Reranker] = {}
        self._lock = threading.RLock()

    def embedder(self, settings: Settings) -> Embedder:
        """The settings' embedder; further settings are given the one that is open."""
        from rag import embedders
        from rag.rankings.wrapped import Recalling

        with self._lock:
            if self.embedding is None:
                make_folder(settings.models)
                self.embedding = Recalling(
                    embedders.load(settings.embedder, models_dir=settings.models, threads=settings.threads or None)
                )
            return self.embedding

    def generator(self, settings: Settings, name: str | None = None) -> Generator:
        """The generator of this name, else the settings'; `auto` is the installed transformer model, else the
        extractive one. Behind it stands the settings' fallback, if there is one."""
        name, behind = name or settings.generator, settings.fallback
        if not behind or behind == name:
            return self._generator(settings, name)
        from rag.generators import Falling, Unready

        try:
            first = self._generator(settings, name)
        except NotReady as error:
            first = Unready(name, error)
        second = self._generator(settings, behind)
        return first if first.name == second.name else Falling(first, second)

    def _generator(self, settings: Settings, name: str) -> Generator:
        from rag import generators, models

        if name == "auto":
            installed = models.default_generator(settings.models)
            name = "extractive" if installed is None else f"transformers:{installed}"
        with self._lock:
            if name not in self.generators:
                self.generators[name] = generators.load(
                    name,
                    Models(self.embedder(settings), _running(settings)),
                    key_file=Path(settings.openai_key_file) if settings.openai_key_file else None,
                    timeout_s=settings.openai_timeout_s,
                )
            return self.generators[name]

    def scorers(
        self,
        settings: Settings,
        names: Sequence[str] | None,
        stored: "Callable[[Sequence[int]], Mapping[int, Vectors]]",
    ) -> list[Scorer]:
        """The scorers of these names, else the settings' own, of which none may need a reference. `stored` reads the
        vectors of chunks. Nobody stands behind who judges, so that a score says who gave it."""
        from rag import scorers

        chosen = tuple(settings.scorers if names is None else names)
        if names is None and (needing := sorted({*chosen} & {*scorers.WITH_REFERENCE})):
            raise WrongSetting(
                f"scorers: {', '.join(needing)} needs gold answers or judgements, which nobody has for a question that "
                "is just asked; use it with `rag score --references` or `rag eval --answers`"
            )
        judge = settings.judge or settings.generator
        with self._lock:
            if (judge, *chosen) not in self._scorers:
                models = Models(
                    self.embedder(settings), _running(settings), stored, lambda: self._generator(settings, judge)
                )
                self._scorers[judge, *chosen] = scorers.load(models, chosen)
            return self._scorers[judge, *chosen]

    def reranker(self, settings: Settings, name: str | None = None) -> Reranker | None:
        """The reranker of this name, else the settings' own; None where that is off."""
        name = settings.reranker if name is None else name
        if name in ("", "off"):
            return None
        from rag import rerankers

        with self._lock:
            if name not in self._rerankers:
                self._rerankers[name] = rerankers.load(name)
            return self._rerankers[name]

    def pool(self, settings: Settings) -> "Pool":
        """The child processes that read sources; they start with the first."""
        from ingest.reading.limits import Limits
        from rag.corpus import make_pool

        with self._lock:
            if self.reading is None:
                limits = Limits(
                    memory_mb=settings.parse_memory_mb,
                    seconds=settings.parse_seconds,
                    characters=settings.parse_characters,
                    documents=settings.parse_documents,
                )
                processes = settings.parse_processes or max(1, (os.cpu_count() or 1) // 2)
                self.reading = make_pool(self.embedder(settings), processes=processes, limits=limits)
            return self.reading

    def let_go(self) -> None:
        """Forget the models and end the child processes; what is needed again is opened again."""
        with self._lock:
            pool, self.reading = self.reading, None
            self.embedding, self.generators, self._scorers, self._rerankers = None, {}, {}, {}
        if pool is not None:
            pool.close()
        gc.collect()  # a model and what opens it hold each other

    def close(self) -> None:
        """End the child processes."""
        if self.reading is not None:
            self.reading.close()


def _running(settings: Settings) -> Running:
    """How models run in this process."""
    return Running(
        settings.generator_device,
        settings.generator_dtype,
        BITS[settings.generator_quantize],
        settings.generator_batch,
        settings.generator_queue,
        settings.prompt_lookup == "on",
    )
