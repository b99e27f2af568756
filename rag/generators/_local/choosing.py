"""The next token, from logits: the likeliest, or one drawn by the request's own seed."""

import random

import torch

from rag.types import GenerationSettings


def chosen(logits: torch.Tensor, settings: GenerationSettings, draw: random.Random) -> int:
    """The likeliest token at temperature 0, else one drawn from the smallest set that holds top_p of the mass
    (Holtzman et al. 2020, nucleus sampling).  logits (vocabulary,)

    Drawn by the inverse of the distribution over ascending ids, with one number of `draw` a token: two tokens that
    rounding makes change places in the order of their logits cannot change what is drawn.
    """
    if settings.temperature <= 0:
        return int(logits.argmax())
    shares = torch.softmax(logits.double() / settings.temperature, dim=-1)
    if settings.top_p < 1:
        sorted_shares, order = shares.sort(descending=True, stable=True)
        before = sorted_shares.cumsum(-1) - sorted_shares  # the mass above each token: the first is always kept
        shares = shares.index_fill(0, order[before >= settings.top_p], 0.0)
    mass = shares.cumsum(-1)
    at = int(torch.searchsorted(mass, draw.random() * float(mass[-1]), right=True))
    return min(at, int(shares.nonzero()[-1]))  # rounding may end the sum below what was drawn
