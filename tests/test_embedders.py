"""Embedders beyond their contract: true to the original, exported once and whole, from weights that were checked."""

import json
import os
import re
import shutil
import subprocess
import sys
from collections.abc import Iterator, Mapping, Sequence
from contextlib import ExitStack
from importlib.util import find_spec
from pathlib import Path

import numpy as np
import pytest
from safetensors.numpy import load_file, save_file

from rag.embedders import load, names
from rag.embedders.export import RECIPE, make, read, usable
from rag.embedders.export.sources import PACKAGED, resolve
from rag.embedders.sentence_transformers import SentenceTransformer
from rag.errors import ModelNotReady, WrongSetting
from rag.types import Vectors
from tests.forking import Forking

MINILM = "sentence_transformers:all-MiniLM-L6-v2"
PACKAGE = PACKAGED["all-MiniLM-L6-v2"].package
TEXTS = ["", "alpha beta", "gamma " * 30, "beta alpha delta", "alpha " * 5]

# A two-layer BERT with random weights, an odd prompt and CLS pooling, saved as sentence-transformers does it.
BUILD = """
import sys, numpy as np, torch
from pathlib import Path
from sentence_transformers import SentenceTransformer
from sentence_transformers.sentence_transformer.modules import Pooling, Transformer
from tokenizers import Tokenizer, models, normalizers, pre_tokenizers, processors
from transformers import BertConfig, BertModel, PreTrainedTokenizerFast
folder, pooling, seed = Path(sys.argv[1]), sys.argv[2], int(sys.argv[3])
words = ["[PAD]", "[UNK]", "[CLS]", "[SEP]", "[MASK]", "alpha", "beta", "gamma", "delta", "ask", "tell", ":"]
tokenizer = Tokenizer(models.WordPiece({w: i for i, w in enumerate(words)}, unk_token="[UNK]"))
tokenizer.normalizer = normalizers.BertNormalizer()
tokenizer.pre_tokenizer = pre_tokenizers.BertPreTokenizer()
tokenizer.post_processor = processors.TemplateProcessing(
    single="[CLS] $A [SEP]", special_tokens=[("[CLS]", 2), ("[SEP]", 3)])
special = dict(pad_token="[PAD]", unk_token="[UNK]", cls_token="[CLS]", sep_token="[SEP]", mask_token="[MASK]")
fast = PreTrainedTokenizerFast(tokenizer_object=tokenizer, model_max_length=20, **special,
    model_input_names=["input_ids", "token_type_ids", "attention_mask"])
torch.manual_seed(seed)
config = BertConfig(vocab_size=len(words), hidden_size=32, num_hidden_layers=2, num_attention_heads=2,
    intermediate_size=64, max_position_embeddings=64, initializer_range=0.5)
plain = folder.parent / (folder.name + "-plain")
BertModel(config).save_pretrained(plain)
fast.save_pretrained(plain)
modules = [Transformer(str(plain), max_seq_length=20), Pooling(32, pooling_mode=pooling)]
model = SentenceTransformer(modules=modules, prompts={"query": "ask: ", "document": "tell: "}, device="cpu")
model.save(str(folder))
texts = ["", "alpha beta", "gamma " * 30, "beta alpha delta", "alpha " * 5]
options = dict(normalize_embeddings=True, convert_to_numpy=True)
np.save(folder.parent / (folder.name + ".npy"), np.stack([model.encode_query(texts, **options),
    model.encode_document(texts, **options)]))
"""
ORIGINAL = """
import sys, json, numpy as np
from sentence_transformers import SentenceTransformer
texts = json.load(open(sys.argv[2]))
model = SentenceTransformer(sys.argv[1], device="cpu", local_files_only=True)
np.save(sys.argv[3], model.encode(texts, batch_size=8, convert_to_numpy=True))
"""


READ = """
import onnx, onnxruntime, torch, rag.embedders.export.make
from onnxruntime.transformers import optimizer
from sentence_transformers import SentenceTransformer
from sentence_transformers.sentence_transformer.modules import Pooling, Transformer
from transformers import BertConfig, BertModel, PreTrainedTokenizerFast
"""


# An export by a fork of a process that has read torch.
EXPORTING = """
import os, runpy, subprocess, sys
from rag.embedders.export import make
def run(command, *, env, **_):
    print("exporting", flush=True)
    child = os.fork()
    if not child:
        os.environ.update(env)
        sys.argv = command[4:]
        try:
            runpy.run_module(command[4], run_name="__main__", alter_sys=True)
        finally:
            os._exit(sys.exc_info()[0] is not None)
    return subprocess.CompletedProcess(command, os.waitstatus_to_exitcode(os.waitpid(child, 0)[1]), "", "")
make.subprocess.run = run
"""


def child(code: str, *arguments: object, **environment: str) -> subprocess.CompletedProcess[str]:
    command = [sys.executable, "-W", "ignore", "-c", code, *map(str, arguments)]
    return subprocess.run(command, capture_output=True, text=True, env={**os.environ, **environment}, check=False)


@pytest.fixture(scope="module")
def forking() -> Iterator[Forking]:
    """A process that has read torch: every export of the tiny model and its making are forked from it."""
    opened = Forking(READ)
    yield opened
    opened.close()


@pytest.fixture
def exporting(forking: Forking, monkeypatch: pytest.MonkeyPatch) -> None:
    """Exports need not read torch each; the default model's and those of two processes at once do."""

    def run(command: Sequence[str], *, env: Mapping[str, str], **_: object) -> subprocess.CompletedProcess[str]:
        assert command[:3] == [sys.executable, "-W", "ignore"]
        return forking.run(command[3:], env=env)

    monkeypatch.setattr(make.subprocess, "run", run)


@pytest.fixture(scope="module")
def tiny(forking: Forking, tmp_path_factory: pytest.TempPathFactory) -> tuple[Path, Vectors]:
    """The tiny model; and what sentence-transformers computes for TEXTS, as queries and passages (2, n, d)."""
    folder = tmp_path_factory.mktemp("tiny") / "tiny-bert"
    done = forking.run(["-c", BUILD, folder, "cls", "0"], env=os.environ)
    assert done.returncode == 0, done.stderr
    vectors: Vectors = np.load(folder.parent / f"{folder.name}.npy")
    return folder, vectors


def package_folder() -> Path:
    spec = find_spec(PACKAGE)
    assert spec is not None
    assert spec.submodule_search_locations is not None
    return Path(next(iter(spec.submodule_search_locations)))


def exported(models_dir: Path) -> Path:
    (manifest,) = (models_dir / "embedders").glob("*/manifest.json")
    return manifest.parent


# ── names ───────────────────────────────────────────────────────────────────────────────────────────────────────────


def test_the_backends_are_the_modules_of_the_folder() -> None:
    assert names() == ["hashing", "sentence_transformers"]


@pytest.mark.parametrize(
    "model", ["", "hashing", "hashing:", "word2vec:x", "export:x", "rag.errors:x", "all-MiniLM-L6-v2"]
)
def test_an_unknown_backend_is_refused_with_those_there_are(model: str, tmp_path: Path) -> None:
    with pytest.raises(WrongSetting, match=r"hashing:…, sentence_transformers:…"):
        load(model, models_dir=tmp_path)


@pytest.mark.parametrize("rest", ["nonsense", "a/b/c", "all-MiniLM-L6-v2?precision=fp16", "all-MiniLM-L6-v2?x"])
def test_an_unknown_model_is_refused(rest: str, tmp_path: Path) -> None:
    with pytest.raises(WrongSetting):
        load(f"sentence_transformers:{rest}", models_dir=tmp_path)
    assert not list(tmp_path.iterdir())


@pytest.mark.parametrize("rest", ["./nowhere", "../no/where", "/nowhere", "~/nowhere", ".nowhere/at-all"])
def test_a_path_without_a_folder_is_named(rest: str, tmp_path: Path) -> None:
    with pytest.raises(ModelNotReady, match=rf"^there is no folder {re.escape(rest)}; name one that holds a model"):
        load(f"sentence_transformers:{rest}", models_dir=tmp_path)
    assert not list(tmp_path.iterdir())


@pytest.mark.parametrize("rest", ["0", "-8", "7", "x", "256.0", "²56", "99999999"])
def test_an_unfit_number_of_hash_dimensions_is_refused(rest: str, tmp_path: Path) -> None:
    with pytest.raises(WrongSetting, match="dimensions"):
        load(f"hashing:{rest}", models_dir=tmp_path)


def test_threads_are_at_least_one(tmp_path: Path) -> None:
    with pytest.raises(WrongSetting, match="thread"):
        load("hashing:64", models_dir=tmp_path, threads=0)


def test_hashed_vectors_never_change() -> None:
    row = load("hashing:8", models_dir=Path()).embed_queries(["to be or not to be"])[0]
    assert np.allclose(row, [0.15130563, 0, 0, 0, 0, 0.3695935, 0.43657574, 0.8061693], atol=1e-7)


# ── the default model ───────────────────────────────────────────────────────────────────────────────────────────────


def test_vectors_are_those_of_sentence_transformers(
    models_dir: Path, shared_data: Path, forking: Forking, tmp_path: Path
) -> None:
    folder = shared_data / "xquad-en"
    corpus = [json.loads(line)["text"] for line in (folder / "corpus.jsonl").read_text().splitlines()[:30]]
    questions = [json.loads(line)["text"] for line in (folder / "queries.jsonl").read_text().splitlines()[:30]]
    texts = ["", *corpus, *questions, "\n".join(corpus[:4])]  # the last is over the limit and is cut by both alike
    (tmp_path / "texts.json").write_text(json.dumps(texts))
    command = ["-c", ORIGINAL, package_folder() / "model", tmp_path / "texts.json", tmp_path / "original.npy"]
    done = forking.run(command, env=os.environ)
    assert done.returncode == 0, done.stderr
    ours = load(MINILM, models_dir=models_dir).embed_queries(texts)
    assert np.abs(ours - np.load(tmp_path / "original.npy")).max() <= 2e-6


def test_int8_stays_near_fp32(models_dir: Path, shared_data: Path) -> None:
    lines = (shared_data / "xquad-en" / "corpus.jsonl").read_text().splitlines()[:60]
    texts = [json.loads(line)["text"] for line in lines]
    fp32 = load(MINILM, models_dir=models_dir)
    int8 = load(f"{MINILM}?precision=int8", models_dir=models_dir)
    cosines = np.sum(fp32.embed_queries(texts) * int8.embed_queries(texts), axis=1)
    assert cosines.min() > 0.98
    assert cosines.mean() < 0.9999  # it is another network, not the same one under another name
    assert (int8.name, int8.fingerprint.split("/")[1]) == (f"{MINILM}?precision=int8", "int8")


@pytest.mark.usefixtures("exporting")
def test_int8_is_the_same_made_of_the_model_or_of_its_export(tiny: tuple[Path, Vectors], tmp_path: Path) -> None:
    """The second needs no torch; an export in full precision that is damaged is not read."""
    model, made = f"sentence_transformers:{tiny[0]}", {}
    load(model, models_dir=tmp_path / "export")
    shutil.copytree(tmp_path / "export", tmp_path / "damaged")
    weights = exported(tmp_path / "damaged") / "model.bin"
    before = weights.stat()
    weights.write_bytes(bytes(before.st_size))
    os.utime(weights, ns=(before.st_atime_ns, before.st_mtime_ns))
    for way in ("model", "export", "damaged"):
        int8 = load(f"{model}?precision=int8", models_dir=tmp_path / way)
        (file,) = (tmp_path / way / "embedders").glob("*-int8-*/manifest.json")
        manifest = read(file.parent)
        assert manifest is not None
        assert set(manifest.made_with) == {"torch", "transformers", "sentence-transformers", "onnx", "onnxruntime"}
        contents = [(file.parent / name).read_bytes() for name in sorted(manifest.files)]
        made[way] = (int8.fingerprint, manifest.form, contents)
    assert made["model"] == made["export"] == made["damaged"]


def test_a_long_query_is_its_beginning(models_dir: Path) -> None:
    embedder = load(MINILM, models_dir=models_dir)
    whole, cut = embedder.embed_queries(["word " * 400, "word " * 254])
    assert np.array_equal(whole, cut)


def test_a_search_loads_neither_torch_nor_transformers(models_dir: Path) -> None:
    load(MINILM, models_dir=models_dir)
    done = child(
        "import sys; from pathlib import Path; from rag.embedders import load\n"
        f"assert load({MINILM!r}, models_dir=Path(sys.argv[1])).embed_queries(['x']).shape == (1, 384)\n"
        "print(*{'torch', 'transformers', 'sentence_transformers', 'onnx', 'huggingface_hub'} & set(sys.modules))",
        models_dir,
    )
    assert (done.returncode, done.stdout.strip()) == (0, ""), done.stderr


def test_preparing_changes_nothing(models_dir: Path) -> None:
    prepared, plain = (load(MINILM, models_dir=models_dir) for _ in range(2))
    assert isinstance(prepared, SentenceTransformer)
    prepared.prepare()
    assert np.array_equal(prepared.embed_queries(["x y"]), plain.embed_queries(["x y"]))


@pytest.mark.parametrize("file", ["model.safetensors", "tokenizer.json"])
def test_tampered_files_are_refused(file: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    forged = tmp_path / "site" / PACKAGE
    shutil.copytree(package_folder(), forged)
    content = bytearray((forged / "model" / file).read_bytes())
    content[-2] ^= 1
    (forged / "model" / file).write_bytes(content)
    monkeypatch.delitem(sys.modules, PACKAGE, raising=False)  # another test may have imported the true one
    monkeypatch.syspath_prepend(str(forged.parent))
    with pytest.raises(ModelNotReady, match=rf"{file} .*SHA-256 is [0-9a-f]{{64}} and should be [0-9a-f]{{64}}"):
        load(MINILM, models_dir=tmp_path / "models")
    assert not list((tmp_path / "models").rglob("model.*"))


def test_a_missing_package_is_said(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delitem(sys.modules, PACKAGE, raising=False)
    monkeypatch.setattr(sys, "path", [])
    monkeypatch.setattr(sys, "meta_path", sys.meta_path[-1:])  # the finder that walks sys.path
    sys.path_importer_cache.clear()
    with pytest.raises(ModelNotReady, match=f"{PACKAGE}, which is not installed"):
        load(MINILM, models_dir=tmp_path)


# ── an export ───────────────────────────────────────────────────────────────────────────────────────────────────────


@pytest.mark.usefixtures("exporting")
def test_a_model_of_ones_own(tiny: tuple[Path, Vectors], models_dir: Path) -> None:
    folder, (queries, passages) = tiny
    embedder = load(f"sentence_transformers:{folder}", models_dir=models_dir)
    assert (embedder.dim, embedder.max_tokens) == (32, 20)
    assert embedder.fingerprint.startswith("tiny-bert/fp32/onnx1/")
    assert np.abs(embedder.embed_queries(TEXTS) - queries).max() <= 2e-6
    short = [0, 1, 3, 4]
    assert np.abs(embedder.embed_passages([TEXTS[index] for index in short]) - passages[short]).max() <= 2e-6
    assert embedder.count_tokens(["", "alpha beta"]) == [4, 6]  # with "tell:" before them
    with pytest.raises(ValueError, match="passage 0 has 34 tokens"):
        embedder.embed_passages([TEXTS[2]])


@pytest.mark.usefixtures("exporting")
def test_pooling_that_is_not_known_is_refused(tiny: tuple[Path, Vectors], tmp_path: Path) -> None:
    shutil.copytree(tiny[0], tmp_path / "odd")
    config = tmp_path / "odd" / "1_Pooling" / "config.json"
    config.write_text(json.dumps({**json.loads(config.read_text()), "pooling_mode": "max"}))
    with pytest.raises(ModelNotReady, match="only mean and cls pooling are supported, and this model has 'max'"):
        load(f"sentence_transformers:{tmp_path / 'odd'}", models_dir=tmp_path / "models")
    assert [each.name for each in (tmp_path / "models" / "embedders").iterdir() if each.is_dir()] == []


def test_a_folder_without_weights_is_refused(tmp_path: Path) -> None:
    (tmp_path / "empty").mkdir()
    with pytest.raises(ModelNotReady, match=r"no \*\.safetensors"):
        load(f"sentence_transformers:{tmp_path / 'empty'}", models_dir=tmp_path / "models")


@pytest.mark.usefixtures("exporting")
def test_damage_is_found_and_healed_and_a_changed_model_exported_again(
    tiny: tuple[Path, Vectors], tmp_path: Path
) -> None:
    folder, models = tmp_path / "own", tmp_path / "models"
    shutil.copytree(tiny[0], folder)
    model = f"sentence_transformers:{folder}"
    whole = load(model, models_dir=models)
    assert isinstance(whole, SentenceTransformer)
    whole.verify()

    weights = exported(models) / "model.bin"
    content = bytearray(weights.read_bytes())
    content[len(content) // 2] ^= 64
    weights.write_bytes(content)
    with pytest.raises(ModelNotReady, match=r"model\.bin is damaged"):
        whole.verify()
    healed = load(model, models_dir=models)
    assert isinstance(healed, SentenceTransformer)
    healed.verify()
    assert healed.fingerprint == whole.fingerprint
    assert np.abs(healed.embed_queries(TEXTS) - tiny[1][0]).max() <= 2e-6

    tensors = load_file(folder / "model.safetensors")  # now the model itself
    tensors["embeddings.word_embeddings.weight"] *= -1
    save_file(tensors, folder / "model.safetensors", metadata={"format": "pt"})
    other = load(model, models_dir=models)
    assert other.fingerprint != whole.fingerprint
    assert not np.array_equal(other.embed_queries(TEXTS), healed.embed_queries(TEXTS))


@pytest.mark.usefixtures("exporting")
def test_a_copied_export_is_used_as_it_is(tiny: tuple[Path, Vectors], models_dir: Path, tmp_path: Path) -> None:
    model = f"sentence_transformers:{tiny[0]}"
    load(model, models_dir=models_dir)
    shutil.copytree(models_dir, tmp_path / "copy", copy_function=shutil.copyfile)  # new times, the same bytes
    (weights,) = (tmp_path / "copy" / "embedders").glob("tiny-bert-*/model.bin")
    before = weights.stat().st_ino
    copied = load(model, models_dir=tmp_path / "copy")
    manifest = json.loads((weights.parent / "manifest.json").read_text())
    assert weights.stat().st_ino == before
    assert manifest["files"]["model.bin"]["mtime_ns"] == weights.stat().st_mtime_ns
    assert copied.fingerprint == load(model, models_dir=models_dir).fingerprint


@pytest.mark.usefixtures("exporting")
@pytest.mark.parametrize("damage", ["{", "[]", '{"recipe": 1}', ""])
def test_a_manifest_that_cannot_be_read_means_no_export(
    damage: str, tiny: tuple[Path, Vectors], models_dir: Path, tmp_path: Path
) -> None:
    load(f"sentence_transformers:{tiny[0]}", models_dir=models_dir)
    (whole,) = (models_dir / "embedders").glob("tiny-bert-*-fp32-onnx1")
    shutil.copytree(whole, tmp_path / "copy")
    source = resolve(str(tiny[0]))
    assert usable(tmp_path / "copy", source) is not None
    (tmp_path / "copy" / "manifest.json").write_text(damage)
    assert usable(tmp_path / "copy", source) is None


def test_two_processes_export_once_and_use_nothing_that_a_killed_one_left(
    tiny: tuple[Path, Vectors], forking: Forking, tmp_path: Path
) -> None:
    code = EXPORTING + (
        "import sys; from pathlib import Path; from rag.embedders import load\n"
        "embedder = load('sentence_transformers:' + sys.argv[1], models_dir=Path(sys.argv[2]))\n"
        "(weights,) = Path(sys.argv[2]).glob('embedders/*/model.bin')\n"
        "print(embedder.fingerprint, weights.stat().st_ino)"
    )
    name = f"{resolve(str(tiny[0])).key}-fp32-onnx{RECIPE}"
    left = tmp_path / "embedders" / f".{name}.new-killed"
    left.mkdir(parents=True)
    (left / "model.bin").write_bytes(b"half")
    (tmp_path / "embedders" / name).mkdir()  # and a folder without a manifest under the name itself
    said = [tmp_path / "first", tmp_path / "second"]
    with ExitStack() as stack:
        files = [stack.enter_context(file.open("w")) for file in said]
        command = ["-c", code, tiny[0], tmp_path]
        both = [forking.start(command, env=os.environ, stdout=file.fileno(), stderr=file.fileno()) for file in files]
        assert [process.wait() for process in both] == [0, 0], [file.read_text() for file in said]
    first, second = (file.read_text().splitlines() for file in said)
    assert first[-1] == second[-1]  # one file: whoever came second took what the first had made
    assert [*first, *second].count("exporting") == 1
    assert not list((tmp_path / "embedders").glob("*.new-*"))


def test_a_folder_that_cannot_be_written_is_said(tiny: tuple[Path, Vectors], tmp_path: Path) -> None:
    (tmp_path / "file").write_text("not a folder")
    with pytest.raises(ModelNotReady, match="cannot write"):
        load(f"sentence_transformers:{tiny[0]}", models_dir=tmp_path / "file")


@pytest.mark.parametrize("environment", [{"HF_ENDPOINT": "http://127.0.0.1:9"}, {"HF_HUB_OFFLINE": "1"}])
def test_a_hub_that_cannot_be_reached_is_said(environment: dict[str, str], tmp_path: Path) -> None:
    code = (
        "import sys; from pathlib import Path; from rag.embedders import load; from rag.errors import ModelNotReady\n"
        "try: load('sentence_transformers:owner/model', models_dir=Path(sys.argv[1]))\n"
        "except ModelNotReady as error: print(error)"
    )
    done = child(code, tmp_path, HF_HUB_CACHE=str(tmp_path / "cache"), **environment)
    assert "the model owner/model is not on this machine and could not be downloaded" in done.stdout, done.stderr


def test_cuda_goes_first_where_the_runtime_has_it() -> None:
    from rag.embedders.sentence_transformers import _providers

    assert _providers(["AzureExecutionProvider", "CPUExecutionProvider"]) == ["CPUExecutionProvider"]
    assert _providers(["TensorrtExecutionProvider", "CUDAExecutionProvider", "CPUExecutionProvider"]) == [
        "CUDAExecutionProvider",
        "CPUExecutionProvider",
    ]
