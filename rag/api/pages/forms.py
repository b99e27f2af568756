"""What a page's form sends, read strictly: texts that every database can hold, and fields by name."""

from dataclasses import dataclass
from typing import Annotated

from fastapi import Depends, Request
from starlette.datastructures import FormData, UploadFile
from starlette.exceptions import HTTPException

from rag.errors import WrongUsage

MAX_FIELDS = 1000


@dataclass(frozen=True, slots=True)
class Form:
    """The fields of a form, in the order in which they were sent."""

    fields: tuple[tuple[str, str], ...]

    def text(self, name: str, otherwise: str = "") -> str:
        """The field without the blanks around it, with single line feeds; `otherwise` where it was not sent."""
        return next((_line_ends(value).strip() for key, value in self.fields if key == name), otherwise)

    def given(self, name: str) -> str | None:
        """The field, None where it was not sent or is empty."""
        return self.text(name) or None

    def required(self, name: str, what: str) -> str:
        """The field. Raises WrongUsage where it is empty: `what` names it for people."""
        found = self.text(name)
        if not found:
            raise WrongUsage(f"{what} is missing")
        return found

    def many(self, name: str) -> tuple[str, ...]:
        """Every value of the field that is not empty."""
        return tuple(value.strip() for key, value in self.fields if key == name and value.strip())

    def whole(self, name: str) -> int | None:
        """The field as a whole number, None where it is empty. Raises WrongUsage."""
        found = self.text(name)
        if not found:
            return None
        if not found.removeprefix("-").isdecimal() or not found.isascii() or len(found) > 18:
            raise WrongUsage(f"{name} is a whole number, not {found[:30]!r}")
        return int(found)

    def real(self, name: str) -> float | None:
        """The field as a finite number, None where it is empty. Raises WrongUsage."""
        found = self.text(name)
        if not found:
            return None
        try:
            value = float(found)
        except ValueError:
            value = float("nan")
        if value != value or value in (float("inf"), float("-inf")):
            raise WrongUsage(f"{name} is a number, not {found[:30]!r}")
        return value


async def form(request: Request) -> Form:
    """The form that a request brings; files in it are refused. Raises a 400 for a NUL."""
    data: FormData = await request.form(max_files=0, max_fields=MAX_FIELDS)
    fields = []
    for name, value in data.multi_items():
        if isinstance(value, UploadFile):
            raise HTTPException(400, "this form takes no files")
        if "\x00" in name or "\x00" in value:
            raise HTTPException(400, "the form holds a NUL character")
        fields.append((name, value.encode("utf-8", errors="replace").decode()))
    return Form(tuple(fields))


Given = Annotated[Form, Depends(form)]


def _line_ends(text: str) -> str:
    return text.replace("\r\n", "\n").replace("\r", "\n")
