"""Whether the process lives, and whether it is ready to serve."""

from typing import Literal

from rag.api.models import Shape


class Health(Shape):
    status: Literal["ok"]


class Check(Shape):
    name: str
    ok: bool
    detail: str


class Readiness(Shape):
    ready: bool
    checks: list[Check]
