"""Prompt templates: what is added, and versions as they are shown."""

from datetime import datetime
from typing import Annotated

from pydantic import Field

from rag.api.models import Given, Shape


class TemplateRequest(Given):
    name: Annotated[str, Field(pattern=r"^[a-z0-9][a-z0-9_-]{0,63}$", examples=["support"])]
    text: Annotated[
        str,
        Field(
            max_length=65_536,
            description="Jinja2 with the block `user` and perhaps `system`; it shows question and passages",
            examples=[
                "{% block user %}{% for passage in passages %}{{ fence }} [{{ passage.number }}]\n{{ passage.text }}\n"
                "{{ fence }}\n{% endfor %}{{ question }}{% endblock %}"
            ],
        ),
    ]


class TemplateVersion(Shape):
    name: str
    version: Annotated[str, Field(description="name@digest, as log entries have it")]
    digest: str
    current: Annotated[bool, Field(description="whether its name alone means it")]
    built_in: Annotated[bool, Field(description="it came with the program")]
    user: Annotated[str | None, Field(description="who added it; null: nobody did")]
    created_at: Annotated[datetime | None, Field(description="when it was added or first used; null: never")]


class Templates(Shape):
    default: Annotated[str, Field(description="what is used where a question names none")]
    templates: Annotated[list[TemplateVersion], Field(description="of each name the current version first")]


class TemplateWhole(TemplateVersion):
    text: str
    versions: Annotated[list[TemplateVersion], Field(description="all of this name")]


class TemplateAdded(TemplateVersion):
    added: Annotated[bool, Field(description="false: its name meant this text already")]
    remarks: Annotated[list[str], Field(description="what it lacks without being wrong")]
