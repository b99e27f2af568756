"""A key-value cache with a row for each request, and forward passes over many rows at once.

Rows have lengths of their own: the tokens of a row are written behind its last one, and a mask hides what lies beyond.
So a request joins without moving the others, leaves by giving its row to the last, and may be fed several tokens of
which only some are kept. Whether a model bears this is not assumed by its name: `bears` compares it with plain passes.
"""

import logging
from collections.abc import Sequence
from dataclasses import dataclass
from inspect import signature
from typing import TYPE_CHECKING

import torch
from transformers.cache_utils import Cache, CacheLayerMixin

if TYPE_CHECKING:
    from transformers import PreTrainedModel

log = logging.getLogger(__name__)

BLOCK = 128  # columns: the cache grows by whole blocks
TOLERANCE = {torch.float32: 1e-3, torch.float16: 5e-2, torch.bfloat16: 2e-1}  # of a logit, by the spread of the logits
COARSE = 2e-1  # … where the weights are quantised


@dataclass(slots=True)
class Place:
    """Where the pass under way reads and writes; shared by all layers."""

    first: int = 0  # the rows first … last - 1
    last: int = 0
    rows: torch.Tensor | None = None  # (n, 1)
    columns: torch.Tensor | None = None  # (n, q), where the new tokens stand
    width: int = 0  # columns that are read
    capacity: tuple[int, int] = (0, 0)  # rows and columns that there must be


class _Layer(CacheLayerMixin):  # type: ignore[misc]  # the library is untyped here
    """Keys and values of one layer (rows, heads, columns, d)."""

    is_sliding = False

    def __init__(self, place: Place) -> None:
        super().__init__()
        self._place = place

    def lazy_initialization(self, key_states: torch.Tensor, value_states: torch.Tensor) -> None:
        self.keys, self.values = self._empty(key_states), self._empty(value_states)
        self.is_initialized = True

    def _empty(self, like: torch.Tensor) -> torch.Tensor:
        rows, columns = self._place.capacity
        # Zeros, for what is masked is still multiplied by nought, and garbage may be infinite.
        return torch.zeros(rows, like.shape[1], columns, like.shape[3], dtype=like.dtype, device=like.device)

    def update(
        self, key_states: torch.Tensor, value_states: torch.Tensor, *_: object, **__: object
    ) -> tuple[torch.Tensor, torch.Tensor]:
        place = self._place
        if not self.is_initialized:
            self.lazy_initialization(key_states, value_states)
        elif self.keys.shape[0] < place.capacity[0] or self.keys.shape[2] < place.capacity[1]:
            self.keys, self.values = self._grown(self.keys), self._grown(self.values)
        self.keys[place.rows, :, place.columns] = key_states.transpose(1, 2)
        self.values[place.rows, :, place.columns] = value_states.transpose(1, 2)
        read = slice(place.first, place.last)
        return self.keys[read, :, : place.width], self.values[read, :, : place.width]

    def _grown(self, held: torch.Tensor) -> torch.Tensor:
        grown = self._empty(held)
        grown[: held.shape[0], :, : held.shape[2]] = held
        return grown

    def move(self, origin: int, target: int, length: int) -> None:
        """Row `origin` becomes row `target`; what stood there is gone."""
        if self.is_initialized:
            self.keys[target, :, :length] = self.keys[origin, :, :length]
            self.values[target, :, :length] = self.values[origin, :, :length]

    def bytes_per_column(self) -> int:
        """Of one row."""
        if not self.is_initialized:
            return 0
        return sum(int(t.shape[1] * t.shape[3] * t.element_size()) for t in (self.keys, self.values))

    def get_mask_sizes(self, query_length: int) -> tuple[int, int]:
        return self._place.width, 0

    def get_seq_length(self) -> int:
        return self._place.width

    def get_max_length(self) -> int:
        return -1


class Slots:
    """The cache of one model for some requests at once."""

    def __init__(self, model: "PreTrainedModel") -> None:
        self._model = model
        self._place = Place()
        config = model.config.get_text_config()
        self._layers = [_Layer(self._place) for _ in range(config.num_hidden_layers)]
        self._cache = Cache(layers=self._layers)
        self._windows = _windows(config)
        self._keeps = "logits_to_keep" in signature(model.forward).parameters
        self.lengths: list[int] = []  # of each row

    def bytes_for(self, rows: int, columns: int) -> int:
        """Memory of a cache of this size; 0 before the first pass, when that is not known."""
        return rows * columns * sum(layer.bytes_per_column() for layer in self._layers)

    def reserve(self, rows: int, columns: int) -> None:
        """See to it that so many rows and columns have room, from the next pass on."""
        held = self._place.capacity
        columns = -(-columns // BLOCK) * BLOCK
        self._place.capacity = (max(held[0], rows), max(held[1], columns))

    def move(self, origin: int, target: int) -> None:
        """Row `origin` becomes row `target` as well; what stood there is gone."""
        if origin != target:
            for layer in self._layers:
                layer.move(origin, target, self.lengths[origin])
            self.lengths[target] = self.lengths[origin]

    def feed(self, first: int, tokens: Sequence[Sequence[int]], *, last_only: bool = False) -> torch.Tensor:
        """Feed rows first … some tokens each; gives the logits behind each (n, q, vocabulary), those behind padding
        without meaning; with `last_only` those of the last column (n, 1, vocabulary). Lengths are left to the caller.
        """
        device = self._model.device
        n, q = len(tokens), max(map(len, tokens))
        lengths = torch.tensor(self.lengths[first : first + n])[:, None]
        steps = torch.arange(q)[None, :]
        counts = torch.tensor([len(one) for one in tokens])[:, None]
        self.reserve(first + n, int(lengths.max()) + q)
        place = self._place
        place.first, place.last = first, first + n
        place.rows = torch.arange(first, first + n, device=device)[:, None]
        place.columns = (lengths + steps).to(device)
        place.width = int((lengths + q).max())
        positions = (lengths + torch.minimum(steps, counts - 1)).to(device)  # padding stands where a position exists
        padded = torch.tensor([[*one, *[one[-1]] * (q - len(one))] for one in tokens], device=device)
        keep = {"logits_to_keep": 1 if last_only else q} if self._keeps else {}
        out = self._model(
            input_ids=padded,
            attention_mask=self._masks(place.columns),
            position_ids=positions,
            past_key_values=self._cache,
            use_cache=True,
            **keep,
        )
        logits: torch.Tensor = out.logits
        return logits[:, -1:] if last_only else logits

    def _masks(self, columns: torch.Tensor) -> "torch.Tensor | dict[str, torch.Tensor]":
        """What is added to the attention of the new tokens (n, 1, q, width), for each kind of layer."""
        found = {kind: self._mask(columns, window) for kind, window in self._windows.items()}
        return found if len(found) > 1 else next(iter(found.values()))

    def _mask(self, columns: torch.Tensor, window: int | None) -> torch.Tensor:
        there = torch.arange(self._place.width, device=columns.device)
        seen = there <= columns[:, None, :, None]
        if window is not None:
            seen = seen & (there > columns[:, None, :, None] - window)
        mask = torch.zeros(seen.shape, dtype=self._model.dtype, device=columns.device)
        return mask.masked_fill_(~seen, torch.finfo(mask.dtype).min)


def _windows(config: object) -> dict[str, int | None]:
    """The kinds of attention of a model's layers, each with its window. Raises ValueError for one not known here."""
    window = getattr(config, "sliding_window", None)
    if getattr(config, "use_sliding_window", True) is False:
        window = None
    kinds = set(getattr(config, "layer_types", None) or ["sliding_attention" if window else "full_attention"])
    if unknown := kinds - {"full_attention", "sliding_attention"}:
        raise ValueError(f"layers of {', '.join(sorted(unknown))}")
    return {kind: window if kind == "sliding_attention" else None for kind in sorted(kinds)}


def bears(model: "PreTrainedModel") -> bool:
    """Whether rows of different lengths, fed together, get the logits that each gets alone: tried on a few tokens."""
    if model.config.is_encoder_decoder:
        return False
    tolerance = COARSE if getattr(model, "is_quantized", False) else TOLERANCE.get(model.dtype, 1e-3)
    draw = torch.Generator().manual_seed(0)
    size = model.config.get_text_config().vocab_size
    long, short = (torch.randint(0, size, (n,), generator=draw).tolist() for n in (11, 6))
    try:
        with torch.inference_mode():
            slots = Slots(model)
            for row, prompt in enumerate((long[:8], short[:5])):
                slots.lengths.append(0)
                slots.feed(row, [prompt], last_only=True)
                slots.lengths[row] = len(prompt)
            together = slots.feed(0, [long[8:], short[5:]])
            pairs = [(together[0], _alone(model, long)[-3:]), (together[1, :1], _alone(model, short)[-1:])]
            return all(_close(ours, theirs, tolerance) for ours, theirs in pairs)
    except (RuntimeError, ValueError, TypeError, IndexError, KeyError, AttributeError, NotImplementedError) as error:
        log.info("%s takes turns, it cannot be batched: %s: %s", type(model).__name__, type(error).__name__, error)
        return False  # a model of another make: its requests are decoded one beside the other


def _alone(model: "PreTrainedModel", tokens: Sequence[int]) -> torch.Tensor:
    logits: torch.Tensor = model(input_ids=torch.tensor([tokens], device=model.device), use_cache=False).logits[0]
    return logits


def _close(ours: torch.Tensor, theirs: torch.Tensor, tolerance: float) -> bool:
    spread = float(theirs.float().std()) or 1.0
    return float((ours.float() - theirs.float()).abs().max()) <= tolerance * max(spread, 1e-3)
