"""Cross-encoders by sentence-transformers: `cross_encoder:<folder>` or `cross_encoder:owner/name[@revision]`."""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np
from numpy.typing import NDArray

from rag.errors import ModelNotReady
from rag.folders import model_folder
from rag.types import Reranker

if TYPE_CHECKING:
    from sentence_transformers import CrossEncoder


@dataclass(frozen=True, slots=True, eq=False)
class CrossEncoded:
    """A model with one output, applied to question and text at once. Safe to use from several threads."""

    name: str
    model: "CrossEncoder"

    def relevance(self, pairs: Sequence[tuple[str, str]]) -> NDArray[np.float32]:
        """The model's raw output for each (question, text): a logit, comparable between pairs.  → (n,)

        A pair longer than the model reads is cut at the text's end.
        """
        from torch import nn

        if not pairs:
            return np.empty(0, dtype=np.float32)
        scores = self.model.predict(list(pairs), activation_fn=nn.Identity(), show_progress_bar=False)
        return np.asarray(scores, dtype=np.float32).reshape(len(pairs))


def load(rest: str) -> Reranker:
    """The model of a folder, or of the local hub cache; nothing is downloaded.

    Raises ModelNotReady when it is not there, has no safetensors weights, or has more than one output.
    """
    folder = model_folder(rest, "name the folder of a cross-encoder, or its hub id (owner/name)")
    path, _, revision = rest.partition("@") if folder is None else (str(folder), "", "")
    from sentence_transformers import CrossEncoder

    try:
        model = CrossEncoder(
            path,
            revision=revision or None,
            local_files_only=True,
            trust_remote_code=False,
            model_kwargs={"use_safetensors": True},
        )
    except Exception as error:  # the libraries below raise a dozen kinds, and each means that it cannot be used
        raise ModelNotReady(
            f"the reranker {rest} cannot be loaded: {type(error).__name__}: {error}; nothing is downloaded by a "
            "search, so fetch a hub's model first: hf download owner/name"
        ) from error
    if model.config.num_labels != 1:
        raise ModelNotReady(f"{rest} is no reranker: it has {model.config.num_labels} outputs, and one is wanted")
    return CrossEncoded(f"cross_encoder:{rest}", model)
