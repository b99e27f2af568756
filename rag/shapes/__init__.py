"""Machine output, once: what the command line prints with --json is what the API answers with.

Fields may be added here, never renamed, changed or removed; golden tests keep them. Every function gives JSON values
only (no NaN, no infinity), so that `json.dumps(…, allow_nan=False)` cannot fail on them.
"""

import math
from collections.abc import Mapping

Json = dict[str, object]


def timings_json(timings_ms: Mapping[str, float]) -> dict[str, float]:
    return {stage: round(taken, 3) for stage, taken in timings_ms.items()}


def number(value: float | None) -> float | None:
    """The value as JSON can say it, six digits behind the point; null for NaN and infinity."""
    return None if value is None or not math.isfinite(value) else round(float(value), 6)
