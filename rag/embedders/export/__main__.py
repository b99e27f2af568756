"""The child process that turns a sentence-transformers model into ONNX: `python -m rag.embedders.export SOURCE TARGET
PRECISION`.

Writes model.onnx (the graph, small), model.bin (the weights, mapped into memory when used), tokenizer.json and
form.json into TARGET, and exits 0 only if the result agrees with sentence-transformers itself. With `quantise` as the
PRECISION the SOURCE is an export in full precision, which agreed with it: int8 is made of that, byte for byte what it
would be made of the model itself, without torch.
"""

import json
import shutil
import sys
from collections.abc import Callable, Sequence
from dataclasses import asdict
from importlib.metadata import version
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import TYPE_CHECKING

import numpy as np

from rag.embedders.export import Form, Precision, read
from rag.errors import ModelNotReady, RagError
from rag.types import Vectors

if TYPE_CHECKING:
    from onnx import ModelProto
    from sentence_transformers import SentenceTransformer

OPSET = 17
# Of several lengths, with accents, another script and more than any model takes: what the comparison is made on.
SAMPLES = (
    "",
    "What is retrieval?",
    "Größe und Maß: naïve café — 東京 タワー 🗼",
    "The quick brown fox jumps over the lazy dog. " * 9,
    "Vectors of unit length are compared by their inner product. " * 90,
)
MIN_COSINE = {"fp32": 0.99999, "int8": 0.95}


def main(source: Path, target: Path, precision: Precision) -> None:
    from sentence_transformers import SentenceTransformer

    # Eager attention is plain matrix algebra, which the optimiser knows how to fuse.
    model = SentenceTransformer(
        str(source), device="cpu", local_files_only=True, model_kwargs={"attn_implementation": "eager"}
    ).float()
    model.eval()
    form = _form(model)
    _write_tokenizer(source, target)
    with TemporaryDirectory(dir=target) as scratch:
        graph = _fuse(model, _trace(model, form, Path(scratch)))
        if precision == "int8":
            graph = _quantise(graph, Path(scratch))
        _write_graph(graph, target)
    _compare(
        lambda texts: model.encode(texts, prompt="", normalize_embeddings=True, convert_to_numpy=True),
        *(form, target, precision),
    )
    libraries = ("torch", "transformers", "sentence-transformers", "onnx", "onnxruntime")
    _report(form, {library: version(library) for library in libraries}, target)


def quantise(source: Path, target: Path) -> None:
    """The int8 export from the one in full precision."""
    import onnx

    from rag.embedders.sentence_transformers import Network

    manifest = read(source)
    if manifest is None:
        raise ModelNotReady(f"{source} went away while it was read; try again")
    shutil.copyfile(source / "tokenizer.json", target / "tokenizer.json")
    with TemporaryDirectory(dir=target) as scratch:
        _write_graph(_quantise(onnx.load(str(source / "model.onnx")), Path(scratch)), target)
    _compare(Network(source, manifest.form, threads=1).embed, manifest.form, target, "int8")
    _report(
        manifest.form, {**manifest.made_with, "onnx": version("onnx"), "onnxruntime": version("onnxruntime")}, target
    )


def _report(form: Form, made_with: dict[str, str], target: Path) -> None:
    (target / "form.json").write_text(json.dumps({**asdict(form), "made_with": made_with}), encoding="utf-8")


def _form(model: "SentenceTransformer") -> Form:
    """What the model says of itself. Raises ModelNotReady for a part that we would not reproduce."""
    kinds = [type(module).__name__ for module in model]
    if kinds[:2] != ["Transformer", "Pooling"] or kinds[2:] not in ([], ["Normalize"]):
        raise ModelNotReady(f"only Transformer, Pooling and Normalize are supported, and this model is {kinds}")
    pooling = model[1].pooling_mode
    if pooling not in ("mean", "cls"):
        raise ModelNotReady(f"only mean and cls pooling are supported, and this model has {pooling!r}")
    if getattr(model[0], "do_lower_case", False):
        raise ModelNotReady("a model that lower-cases outside its tokenizer is not supported")
    prompts = model.prompts
    default = prompts.get(model.default_prompt_name or "", "")
    if any(prompts.values()) and not getattr(model[1], "include_prompt", True):
        raise ModelNotReady("a model that leaves its prompt out of the pooling is not supported")
    known = set(model.tokenizer.model_input_names)
    return Form(
        dim=int(model[1].embedding_dimension),
        max_tokens=int(model.max_seq_length),
        pooling=pooling,
        query_prefix=prompts.get("query") or default,
        passage_prefix=next(
            (prompts[name] for name in ("document", "passage", "corpus") if prompts.get(name)), default
        ),
        inputs=tuple(name for name in ("input_ids", "attention_mask", "token_type_ids") if name in known),
    )


def _write_tokenizer(source: Path, target: Path) -> None:
    """The tokenizer without its own padding and cutting: the default model's pads every text to 128 tokens."""
    from tokenizers import Tokenizer

    tokenizer = Tokenizer.from_file(str(source / "tokenizer.json"))
    tokenizer.no_padding()
    tokenizer.no_truncation()
    (target / "tokenizer.json").write_text(tokenizer.to_str(pretty=False), encoding="utf-8")


def _trace(model: "SentenceTransformer", form: Form, scratch: Path) -> Path:
    """The network as ONNX: inputs (n, tokens) int64 → hidden states (n, tokens, dim) float32.

    Pooling stays outside. ONNX Runtime adds up a batch of one in another order than a batch of many, which is the only
    place in the whole network where a vector would depend on its batch mates.
    """
    import torch

    class Hidden(torch.nn.Module):  # type: ignore[misc]  # torch is not typed for us
        def __init__(self) -> None:
            super().__init__()
            self.network = model[0].auto_model

        def forward(self, *inputs: torch.Tensor) -> torch.Tensor:
            hidden: torch.Tensor = self.network(**dict(zip(form.inputs, inputs, strict=True))).last_hidden_state
            return hidden

    ids = torch.tensor([[5, 6, 7, 8], [5, 6, 7, 0]])
    values = {"input_ids": ids, "attention_mask": (ids > 0).long(), "token_type_ids": torch.zeros_like(ids)}
    file = scratch / "traced.onnx"
    with torch.no_grad():
        torch.onnx.export(
            Hidden(),
            tuple(values[name] for name in form.inputs),
            str(file),
            input_names=list(form.inputs),
            output_names=["hidden"],
            dynamic_axes={name: {0: "n", 1: "tokens"} for name in [*form.inputs, "hidden"]},
            opset_version=OPSET,
            dynamo=False,
        )
    return file


def _fuse(model: "SentenceTransformer", traced: Path) -> "ModelProto":
    import onnx
    from onnxruntime.transformers import optimizer

    config = model[0].auto_model.config
    fused = optimizer.optimize_model(
        str(traced),
        model_type="bert",  # the encoder family; a model it does not know simply stays unfused
        num_heads=config.num_attention_heads,
        hidden_size=config.hidden_size,
        opt_level=0,
    )
    graph = fused.model
    if all(each.domain != "com.microsoft" for each in graph.opset_import):  # whose operators the fused ones are
        graph.opset_import.append(onnx.helper.make_opsetid("com.microsoft", 1))
    return graph


def _quantise(graph: "ModelProto", scratch: Path) -> "ModelProto":
    """Weights of the matrix products as int8, one scale a column: per tensor costs ten times the accuracy.

    Seven bits are used: with eight, says ONNX Runtime's documentation, products can saturate on processors without
    VNNI, and the vectors would depend on the processor. The word vectors stay as they are, mapped, so
    that only the rows in use are read.
    """
    import onnx
    from onnxruntime.quantization import QuantType, quantize_dynamic

    quantize_dynamic(
        graph,
        scratch / "int8.onnx",
        op_types_to_quantize=["MatMul", "Attention"],
        per_channel=True,
        reduce_range=True,
        weight_type=QuantType.QInt8,
        # What shape inference cannot know behind a fused operator: every tensor of the network is float32.
        extra_options={"DefaultTensorType": onnx.TensorProto.FLOAT},
    )
    return onnx.load(str(scratch / "int8.onnx"))


def _write_graph(graph: "ModelProto", target: Path) -> None:
    """Weights in a file of their own, so that they are mapped, not parsed and copied: 45 ms to open instead of 140."""
    import onnx

    onnx.save_model(
        graph,
        str(target / "model.onnx"),
        save_as_external_data=True,
        all_tensors_to_one_file=True,
        location="model.bin",
        size_threshold=1024,
    )


def _compare(original: Callable[[Sequence[str]], Vectors], form: Form, target: Path, precision: Precision) -> None:
    """Raise ModelNotReady unless the export gives the vectors of the original on every sample."""
    from rag.embedders.sentence_transformers import Network

    network = Network(target, form, threads=1)
    for prefix, samples in ((form.query_prefix, SAMPLES), (form.passage_prefix, SAMPLES[:2])):
        texts = [prefix + text for text in samples]
        ours = network.embed(texts)
        theirs = original(texts)
        cosine = float(np.min(np.sum(ours * theirs, axis=1)))
        if cosine < MIN_COSINE[precision]:
            raise ModelNotReady(f"the exported model does not agree with the original: cosine {cosine:.5f} at worst")


if __name__ == "__main__":
    if len(sys.argv) != 4 or sys.argv[3] not in ("fp32", "int8", "quantise"):
        sys.exit("usage: python -m rag.embedders.export SOURCE TARGET fp32|int8|quantise")
    try:
        if sys.argv[3] == "quantise":
            quantise(Path(sys.argv[1]), Path(sys.argv[2]))
        else:
            main(Path(sys.argv[1]), Path(sys.argv[2]), "int8" if sys.argv[3] == "int8" else "fp32")
    except Exception as error:  # the parent shows stdout; some of torch's messages print whole tensors
        sys.stdout.write(str(error) if isinstance(error, RagError) else f"{type(error).__name__}: {str(error)[:500]}")
        sys.exit(1)
