"""Settings: every option with its default, meaning and unit, and where each value came from.

Later wins: default, `rag.toml` (in the current folder, or the file RAG_CONFIG names), RAG_* variables, flags. A name
that is not here is refused wherever it stands. No validation library: this is read by every cold start of `rag`.
"""

import difflib
import math
import os
import tomllib
from collections.abc import Mapping
from dataclasses import dataclass, field, fields, replace
from pathlib import Path
from typing import Any, Literal

from rag.errors import WrongSetting

PREFIX = "RAG_"
POLICIES = ("off", "keep", "alias", "skip", "newest")
NOT_SETTINGS = {"RAG_CONFIG", "RAG_TEST_DATA"}  # variables of ours that are no settings
Value = str | int | float | Path | tuple[str, ...]


def _option(
    default: Value,
    meaning: str,
    *,
    unit: str = "",
    choices: tuple[str, ...] = (),
    low: float = -math.inf,
    high: float = math.inf,
) -> Any:  # a field of whatever type it is declared with, as dataclasses.field itself is typed
    meta = {"meaning": meaning, "unit": unit, "choices": choices, "low": low, "high": high}
    return field(default=default, metadata=meta)


@dataclass(frozen=True, slots=True)
class Settings:
    """The options of one process. Made by `load`; every field is a setting, in rag.toml under its name, in the
    environment as RAG_<NAME>."""

    data: Path = _option(Path("rag-data"), "folder of the database and the indexes")
    database: str = _option("", "SQLAlchemy URL; empty means SQLite in the data folder")
    models: Path = _option(
        Path("~/.local/share/rag/models"), "folder of exported and pulled models, shared by all data folders"
    )
    collection: str = _option("default", "collection used when none is named")
    embedder: str = _option("sentence_transformers:all-MiniLM-L6-v2", "embedding model of new collections")
    threads: int = _option(
        0, "processor threads of embedding and search; 0 means one a core", unit="threads", low=0, high=1024
    )
    vectors: str = _option("faiss", "backend of the vector index", choices=("faiss", "exact"))
    keywords: str = _option("exact", "backend of the keyword index", choices=("exact",))
    chunk_tokens: int = _option(
        256, "longest chunk of new collections, title and headings included", unit="tokens", low=32, high=8192
    )
    chunk_overlap_tokens: int = _option(
        0, "whole sentences repeated from the chunk before, in new collections", unit="tokens", low=0, high=4096
    )
    dedup_exact: str = _option("alias", "what new collections do about equal documents", choices=POLICIES)
    dedup_near: str = _option("keep", "what new collections do about near-duplicate documents", choices=POLICIES)
    dedup_semantic: str = _option("off", "what new collections do about semantic duplicates", choices=POLICIES)
    dedup_chunk_exact: str = _option("alias", "what new collections do about equal chunks", choices=POLICIES)
    dedup_chunk_near: str = _option("off", "what new collections do about near-duplicate chunks", choices=POLICIES)
    dedup_chunk_semantic: str = _option("off", "what new collections do about chunks of one meaning", choices=POLICIES)
    dedup_near_threshold: float = _option(0.8, "Jaccard similarity of near-duplicates, at least", low=0.5, high=1.0)
    dedup_semantic_threshold: float = _option(0.95, "cosine of semantic duplicates, at least", low=0.5, high=1.0)
    parse_processes: int = _option(
        0, "processes that read files; 0 means one for every two cores", unit="processes", low=0, high=256
    )
    parse_memory_mb: int = _option(
        512, "a file that needs more memory to be read is refused", unit="MiB", low=128, high=65536
    )
    parse_seconds: float = _option(
        30.0, "a file that takes longer to be read is refused", unit="seconds of processor time", low=0.1, high=3600
    )
    parse_characters: int = _option(
        50_000_000, "a file that gives more text is refused", unit="characters", low=1000, high=10**10
    )
    parse_documents: int = _option(
        200_000, "a file that holds more documents is refused", unit="documents", low=1, high=10**9
    )
    max_file_mb: int = _option(256, "larger files are refused", unit="MiB", low=1, high=65536)
    mode: Literal["hybrid", "semantic", "keyword"] = _option(
        "hybrid", "how passages are found", choices=("hybrid", "semantic", "keyword")
    )
    fusion: Literal["weighted", "rrf"] = _option(
        "weighted", "how the two rankings are fused", choices=("weighted", "rrf")
    )
    alpha: float = _option(0.5, "weight of the semantic ranking in `weighted` fusion", low=0.0, high=1.0)
    rrf_k: int = _option(60, "k of reciprocal rank fusion", low=1, high=10000)
    depth: int = _option(100, "candidates each ranking brings to the fusion", unit="chunks", low=1, high=10000)
    reranker: str = _option("", "cross-encoder that reorders the candidates, a path or hub id; empty or off: none")
    rerank_depth: int = _option(50, "candidates the reranker reads", unit="chunks", low=1, high=1000)
    diversify: float = _option(
        1.0, "relevance against variety among the passages (MMR); 1 leaves their order as it is", low=0.0, high=1.0
    )
    per_document: int = _option(
        0, "passages of one document, at most; 0 means any number", unit="passages", low=0, high=1000
    )
    neighbours: int = _option(0, "chunks a passage is widened by on either side", unit="chunks", low=0, high=10)
    passages: int = _option(8, "passages an answer is grounded in", unit="passages", low=1, high=100)
    generator: str = _option(
        "auto", "who answers: auto, extractive, transformers:<path or hub id>, openai:<base url>#<model>"
    )
    fallback: str = _option(
        "", "who answers where the generator cannot, as `extractive`; empty: nobody, it is an error"
    )
    generator_device: str = _option(
        "auto", "where a transformers model runs: auto (CUDA where there is one), cpu, cuda:0 …"
    )
    generator_dtype: str = _option(
        "auto",
        "number format of a transformers model; auto: float32 on a processor, bfloat16 or float16 on CUDA",
        choices=("auto", "float32", "bfloat16", "float16"),
    )
    generator_quantize: Literal["off", "8bit", "4bit"] = _option(
        "off",
        "quantise the weights of a transformers model; needs the extra `quantize`",
        choices=("off", "8bit", "4bit"),
    )
    generator_batch: int = _option(
        8, "answers that a transformers model works on at once", unit="answers", low=1, high=256
    )
    generator_queue: int = _option(
        32,
        "further questions that wait for a transformers model; more are refused",
        unit="questions",
        low=0,
        high=10000,
    )
    prompt_lookup: Literal["off", "on"] = _option(
        "on", "let a transformers model confirm several words of its prompt at once", choices=("off", "on")
    )
    grounded_decoding: Literal["off", "on"] = _option(
        "off",
        "let a transformers model say only those numbers, names and quotes that stand in the passages or the question",
        choices=("off", "on"),
    )
    prompt_template: str = _option("answer", "template of the prompt, a name or name@digest; `rag prompts list`")
    strict: Literal["off", "on"] = _option(
        "off", "leave out of an answer the sentences that no passage bears out", choices=("off", "on")
    )
    abstain: Literal["auto", "never"] = _option(
        "auto",
        "refuse a question that what was found hardly answers, before the generator is asked",
        choices=("auto", "never"),
    )
    abstain_threshold: float = _option(
        0.2, "confidence below which a question is refused, where the collection was not calibrated", low=0.0, high=1.0
    )
    conversation_template: str = _option(
        "conversation", "template where something was said before and `prompt_template` has no place for it"
    )
    rewrite: Literal["auto", "generator", "rules", "off"] = _option(
        "auto",
        "who makes a follow-up a question of its own; auto: a language model that answers, else the rules",
        choices=("auto", "generator", "rules", "off"),
    )
    max_answer_tokens: int = _option(512, "longest answer", unit="tokens", low=1, high=32768)
    temperature: float = _option(0.0, "randomness of sampled answers; 0 is greedy", low=0.0, high=2.0)
    top_p: float = _option(1.0, "share of probability that is sampled from", low=0.01, high=1.0)
    seed: int = _option(0, "seed of sampled answers", low=0, high=2**31 - 1)
    scorers: tuple[str, ...] = _option(
        (
            "answer_relevancy",
            "citation_precision",
            "citation_recall",
            "completeness",
            "context_relevancy",
            "context_utilisation",
            "faithfulness",
        ),
        "metrics that every answer is scored with; judge:<metric> asks a language model, which takes its time",
    )
    judge: str = _option(
        "", "language model of judge:<metric>, as transformers:<path or hub id>; empty: the one that answers"
    )
    openai_key_file: str = _option("", "file with the key of the OpenAI-compatible server; else OPENAI_API_KEY")
    openai_timeout_s: float = _option(
        60.0, "longest wait for the server's next piece", unit="seconds", low=0.1, high=3600
    )
    host: str = _option("127.0.0.1", "address the API listens on")
    port: int = _option(8000, "port the API listens on", low=0, high=65535)
    workers: int = _option(1, "processes that serve the API", unit="processes", low=1, high=64)
    job_workers: int = _option(
        1, "background jobs that one process of the API does at once; 0 leaves them to `rag worker`", low=0, high=64
    )
    job_lease_s: float = _option(
        60.0, "a worker that is not heard of for so long loses its job to another", unit="seconds", low=0.5, high=3600
    )
    allowed_hosts: tuple[str, ...] = _option(
        (), "Host names the API answers to besides loopback names and its own address"
    )
    log_retention_days: int = _option(
        0, "the log is kept for so long, then pruned by server or worker; 0: for ever", unit="days", low=0, high=36500
    )
    max_upload_mb: int = _option(64, "larger request bodies are refused", unit="MiB", low=1, high=4096)
    max_question_chars: int = _option(8000, "longer questions are refused", unit="characters", low=1, high=1000000)

    otlp_endpoint: str = _option(
        "", "address of an OpenTelemetry collector that traces are sent to; empty: as the OTEL_ variables say"
    )
    trace_content: Literal["off", "on"] = _option(
        "off", "send questions, answers, prompts and passages with the traces, too", choices=("off", "on")
    )
    webhook_url: str = _option("", "address that is told of answers with low scores; empty: nobody")
    webhook_scores: tuple[str, ...] = _option(
        ("faithfulness<0.5",), "which scores are low: a name, < and a value; any of them is enough"
    )
    webhook_key_file: str = _option("", "file with the key that calls of the webhook are signed with")
    webhook_allow_hosts: tuple[str, ...] = _option(
        (), "hosts and addresses inside a network that may be told, besides those of the public web"
    )

    @property
    def database_url(self) -> str:
        return self.database or f"sqlite:///{self.data.resolve() / 'rag.db'}"

    @property
    def indexes(self) -> Path:
        return self.data / "indexes"


DEFAULTS = Settings()


@dataclass(frozen=True, slots=True)
class Loaded:
    """Settings and, for each name, where its value came from."""

    settings: Settings
    origins: Mapping[str, str]


@dataclass(frozen=True, slots=True)
class Option:
    """One setting as documentation shows it."""

    name: str
    default: Value
    meaning: str
    unit: str
    choices: tuple[str, ...]


def options() -> list[Option]:
    """Every setting, in order."""
    return [
        Option(f.name, f.default, f.metadata["meaning"], f.metadata["unit"], f.metadata["choices"])  # type: ignore[arg-type]
        for f in fields(Settings)
    ]


def load(
    flags: Mapping[str, object] | None = None,
    environment: Mapping[str, str] | None = None,
    folder: Path | None = None,
) -> Loaded:
    """Read the settings. Raises WrongSetting for an unknown name or a value that does not fit, naming its origin."""
    environment = os.environ if environment is None else environment
    values: dict[str, Value] = {}
    origins = {f.name: "default" for f in fields(Settings)}
    for raw, origin in (
        (_file(environment, folder or Path.cwd()), "file"),
        (_variables(environment), "variable"),
        ({name: value for name, value in (flags or {}).items() if value is not None}, "flag"),
    ):
        for name, value in raw.items():
            where = {"file": "rag.toml", "variable": PREFIX + name.upper(), "flag": f"--{name.replace('_', '-')}"}[
                origin
            ]
            values[name] = _fit(name, value, where)
            origins[name] = where
    for name in ("data", "models"):
        values[name] = Path(str(values.get(name, getattr(DEFAULTS, name)))).expanduser()
    return Loaded(replace(DEFAULTS, **values), origins)  # type: ignore[arg-type]


def _file(environment: Mapping[str, str], folder: Path) -> dict[str, object]:
    named = environment.get("RAG_CONFIG")
    path = Path(named) if named else folder / "rag.toml"
    if not path.is_file():
        if named:
            raise WrongSetting(f"RAG_CONFIG names a file that is not there: {path}")
        return {}
    try:
        return tomllib.loads(path.read_text(encoding="utf-8"))
    except (tomllib.TOMLDecodeError, UnicodeDecodeError) as error:
        raise WrongSetting(f"{path} is not TOML: {error}") from error


def _variables(environment: Mapping[str, str]) -> dict[str, object]:
    return {
        name[len(PREFIX) :].lower(): value
        for name, value in sorted(environment.items())
        if name.startswith(PREFIX) and name not in NOT_SETTINGS
    }


def overruled(settings: Settings, by: Mapping[str, object], where: str) -> Settings:
    """The settings with some of another's values, checked like all others; None leaves a setting as it is."""
    return replace(settings, **{name: _fit(name, value, where) for name, value in by.items() if value is not None})  # type: ignore[arg-type]


def _fit(name: str, value: object, where: str) -> Value:
    """The value as the setting's own type, within its bounds."""
    known = {f.name: f for f in fields(Settings)}
    if name not in known:
        close = difflib.get_close_matches(name, known, n=1)
        hint = f"; did you mean {close[0]}?" if close else "; `rag config` lists the settings"
        raise WrongSetting(f"{where}: there is no setting {name!r}{hint}")
    default, meta = known[name].default, known[name].metadata
    try:
        fitted = _as_type(default, value)
    except (ValueError, TypeError) as error:
        raise WrongSetting(f"{where}: {name} takes {_kind(default)}, not {value!r}") from error
    if meta["choices"] and fitted not in meta["choices"]:
        raise WrongSetting(f"{where}: {name} is one of {', '.join(meta['choices'])}, not {fitted!r}")
    if isinstance(fitted, (int, float)) and not meta["low"] <= fitted <= meta["high"]:
        raise WrongSetting(f"{where}: {name} lies between {meta['low']} and {meta['high']}, not {fitted}")
    return fitted


def _as_type(default: object, value: object) -> Value:
    if isinstance(default, tuple):
        items = value.split(",") if isinstance(value, str) else value
        if not isinstance(items, (list, tuple)) or not all(isinstance(item, str) for item in items):
            raise TypeError("not a list of texts")
        return tuple(item.strip() for item in items if item.strip())
    if isinstance(value, bool):
        raise TypeError("a boolean")
    if isinstance(default, int):
        if isinstance(value, float) and not value.is_integer():
            raise ValueError("not whole")
        return int(value)  # type: ignore[call-overload, no-any-return]
    if isinstance(default, float):
        return float(value)  # type: ignore[arg-type]
    if not isinstance(value, (str, Path)):
        raise TypeError("not a text")
    return Path(value) if isinstance(default, Path) else str(value)


def _kind(default: object) -> str:
    names = {tuple: "a list of texts", int: "a whole number", float: "a number", str: "a text"}
    return names.get(type(default), "a path")
