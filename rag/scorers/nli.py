"""Entailment: how far the answer's sentences follow from the passages, judged by a local model of inference (NLI).

Written `nli:<folder>` or `nli:owner/name[@revision]`. Any sequence classification model does whose labels say
which of them is entailment; nothing is downloaded.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING

from rag.answers.claims import claims
from rag.errors import ModelNotReady, WrongSetting
from rag.folders import model_folder
from rag.language import content_stems
from rag.scorers._applies import does_not_apply, of_answers, scored
from rag.types import Answer, Example, Interaction, Models, Score, Scorer

if TYPE_CHECKING:
    from transformers import PreTrainedModel, PreTrainedTokenizerBase

VERSION = "2"
BATCH = 16  # pairs


@dataclass(frozen=True, slots=True, eq=False)
class Entailment:
    """The mean, over the answer's sentences, of the probability that some passage entails it, the highest of them.

    Range 0…1, higher is better. Sentences without any content word are not counted. Does not apply to abstentions, nor
    without passages. A passage is the premise, cut at its end to what the model reads, the sentence is the hypothesis
    (Honovich et al. 2022, "TRUE: Re-evaluating Factual Consistency Evaluation").
    """

    model: "PreTrainedModel"
    tokenizer: "PreTrainedTokenizerBase"
    entails: int  # the index of the label
    version: str  # of this metric, and which model says it: another's scores are others
    name: str = "nli"

    def score(
        self, interactions: Sequence[Interaction], examples: Sequence[Example | None] | None = None
    ) -> list[Score | None]:
        return of_answers(self, self._judged, interactions)

    def _judged(self, interaction: Interaction, answer: Answer) -> Score:
        texts = [passage.text for passage in interaction.passages]
        sentences = [claim.text for claim in claims(answer.text, texts) if content_stems(claim.text)]
        if not sentences:
            return does_not_apply(self, "the answer states nothing")
        n = len(texts)
        told = self.probabilities([(text, one) for one in sentences for text in texts])
        best = [max(told[i * n : (i + 1) * n]) for i in range(len(sentences))]
        weak = [one for one, value in zip(sentences, best, strict=True) if value < 0.5]
        label = f"{len(best) - len(weak)} of {len(best)} sentences entailed"
        return scored(self, sum(best) / len(best), label, " | ".join(weak) or None)

    def probabilities(self, pairs: Sequence[tuple[str, str]]) -> list[float]:
        """For each (premise, hypothesis) the probability of entailment."""
        import torch

        found: list[float] = []
        for at in range(0, len(pairs), BATCH):
            premises, hypotheses = zip(*pairs[at : at + BATCH], strict=True)
            # A hypothesis longer than the model reads is cut, too: "longest_first" takes from whichever is longer.
            inputs = self.tokenizer(
                list(premises), list(hypotheses), truncation="longest_first", padding=True, return_tensors="pt"
            )
            with torch.inference_mode():
                logits = self.model(**inputs).logits  # (batch, labels)
            found += logits.softmax(-1)[:, self.entails].tolist()
        return found


def load(models: Models, name: str) -> Scorer:
    """The scorer over the model of a folder, or of the local hub cache.

    Raises WrongSetting for an empty name; ModelNotReady when it is not there, has no safetensors weights, or names no
    label of entailment.
    """
    if not name:
        raise WrongSetting("write nli:<folder> or nli:owner/name[@revision]")
    folder = model_folder(name, "name the folder of a natural language inference model, or its hub id (owner/name)")
    path, _, revision = name.partition("@") if folder is None else (str(folder), "", "")
    from transformers import AutoModelForSequenceClassification, AutoTokenizer

    try:
        tokenizer = AutoTokenizer.from_pretrained(
            path, revision=revision or "main", local_files_only=True, trust_remote_code=False
        )
        model = AutoModelForSequenceClassification.from_pretrained(
            path, revision=revision or "main", local_files_only=True, trust_remote_code=False, use_safetensors=True
        )
    except Exception as error:  # the libraries below raise a dozen kinds, and each means that it cannot be used
        raise ModelNotReady(
            f"the model for entailment {name} cannot be loaded: {type(error).__name__}: {error}; nothing is downloaded "
            "while scoring, so fetch a hub's model first: hf download owner/name"
        ) from error
    limited, entails = _limited(tokenizer, model), _entailing(name, model.config.id2label)
    return Entailment(model.eval(), limited, entails, f"{VERSION}/{name}")


def _limited(tokenizer: "PreTrainedTokenizerBase", model: "PreTrainedModel") -> "PreTrainedTokenizerBase":
    """The tokenizer, cutting at what the model reads where it does not know a limit of its own."""
    reads = getattr(model.config, "max_position_embeddings", None)
    if isinstance(reads, int) and tokenizer.model_max_length > reads:
        tokenizer.model_max_length = reads
    return tokenizer


def _entailing(name: str, labels: dict[int, str]) -> int:
    """The index of the label that means entailment, whatever its case and the order of the labels."""
    found = [
        index
        for index, label in labels.items()
        if label.lower().startswith("entail") or label.lower() in ("supported", "supports", "consistent")
    ]
    if len(found) != 1:
        shown = ", ".join(str(label) for label in labels.values())
        raise ModelNotReady(
            f"{name} does not say which of its labels is entailment: it has {shown}; "
            "write id2label into its config.json"
        )
    return found[0]
