"""Small files of every format that is read, made by these modules so that no binary files lie in the repository.

A module here holds SAMPLES, {the parser's name: its samples}; each sample holds the PHRASES.
"""

from importlib import import_module
from pkgutil import iter_modules

from tests.samples.sample import PHRASES, Sample

__all__ = ["PHRASES", "SAMPLES", "Sample"]


def _all() -> dict[str, list[Sample]]:
    found: dict[str, list[Sample]] = {}
    for module in iter_modules(__path__):
        for name, samples in getattr(import_module(f"{__name__}.{module.name}"), "SAMPLES", {}).items():
            found.setdefault(name, []).extend(samples)
    return found


SAMPLES = _all()
