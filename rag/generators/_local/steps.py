"""One decoding with the model's own cache: for sequence-to-sequence models, and any that padding would disturb."""

from collections.abc import Sequence
from inspect import signature
from typing import TYPE_CHECKING

import torch

if TYPE_CHECKING:
    from transformers import PreTrainedModel


class Steps:
    """The logits (vocabulary,) of each next token, keeping the model's cache between them."""

    def __init__(self, model: "PreTrainedModel", prompt: Sequence[int]) -> None:
        self._model = model
        self._prompt = torch.tensor([list(prompt)], device=model.device)
        self._fixed: dict[str, object] = {}  # the encoder's output, for sequence-to-sequence models
        self._cache: object = None
        known = signature(model.forward).parameters
        self._keeps = "logits_to_keep" in known
        self._held = "past_key_values" if "past_key_values" in known else "cache_params"  # as state space models say
        self.begun = False

    def after(self, token: int) -> torch.Tensor:
        """The logits behind the prompt, at first, and then behind one more token."""
        if self.begun:
            return self._forward(torch.tensor([[token]], device=self._prompt.device))
        self.begun = True
        config = self._model.config
        if not config.is_encoder_decoder:
            return self._forward(self._prompt)
        mask = torch.ones_like(self._prompt)
        encoded = self._model.get_encoder()(input_ids=self._prompt, attention_mask=mask)
        self._fixed = {"encoder_outputs": encoded, "attention_mask": mask}
        start = config.decoder_start_token_id
        if start is None and self._model.generation_config:
            start = self._model.generation_config.decoder_start_token_id
        if start is None:
            raise ValueError("the model names no decoder_start_token_id")
        return self._forward(torch.tensor([[start]], device=self._prompt.device))

    def _forward(self, ids: torch.Tensor) -> torch.Tensor:
        key = "decoder_input_ids" if self._fixed else "input_ids"
        # Causal models are asked for the last row only: all rows of a long prompt take gigabytes.
        last = {"logits_to_keep": 1} if self._keeps and not self._fixed else {}
        out = self._model(**{key: ids, self._held: self._cache}, use_cache=True, **self._fixed, **last)
        self._cache = out[self._held]
        logits: torch.Tensor = out.logits[0, -1]
        return logits
