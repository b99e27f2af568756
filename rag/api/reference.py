"""The reference of the API as Markdown, made from its OpenAPI document, and as one HTML page that loads nothing.

docs/api.md is exactly `markdown(create(app).openapi())`; a test keeps the two equal.
"""

import base64
import hashlib
from collections.abc import Iterator, Mapping
from typing import Any

Schema = Mapping[str, Any]  # a part of an OpenAPI document: JSON

STYLE = """
body{font:16px/1.5 system-ui,sans-serif;max-width:62rem;margin:2rem auto;padding:0 1rem;color:#1b1b1b;background:#fff}
body{overflow-wrap:anywhere}table{display:block;overflow-x:auto;border-collapse:collapse}
table{margin:.5rem 0 1rem}td,th{border:1px solid #ccc;padding:.25rem .6rem;text-align:left;
vertical-align:top}code{background:#f2f2f2;padding:.1em .3em;border-radius:3px}h2{margin-top:2.5rem;border-bottom:1px
solid #ccc}@media(prefers-color-scheme:dark){body{color:#e6e6e6;background:#161616}code{background:#2a2a2a}td,th,h2{
border-color:#444}a{color:#8ab4f8}}
"""
_HASH = base64.b64encode(hashlib.sha256(STYLE.encode()).digest()).decode()
POLICY = f"default-src 'none'; style-src 'sha256-{_HASH}'; frame-ancestors 'none'; base-uri 'none'; form-action 'none'"
MANY = 2**53  # a bound from here on is the database's, and says nothing to a reader
UNIVERSAL = ("400", "401", "403", "421", "503")  # problems that any route may answer with


def page(text: str) -> str:
    """Markdown as a whole HTML page; raw HTML in it is shown, not interpreted."""
    from markdown_it import MarkdownIt

    body = MarkdownIt("commonmark", {"html": False}).enable("table").render(text)
    return (
        '<!doctype html><html lang="en"><head><meta charset="utf-8"><title>rag API</title>'
        '<meta name="viewport" content="width=device-width, initial-scale=1">'
        f"<style>{STYLE}</style></head><body>{body}</body></html>"
    )


def markdown(document: Schema) -> str:
    """The reference of an OpenAPI 3.1 document: every route, then every object that they speak of."""
    schemas = document["components"]["schemas"]
    lines = [f"# {document['info']['title']} API", "", document["info"]["description"], ""]
    lines += [f"The same for programs: `/openapi.json` (OpenAPI {document['openapi']}).", ""]
    for path, methods in document["paths"].items():
        for method, operation in methods.items():
            lines += _operation(path, method, operation)
    lines += ["## Objects", ""]
    for name, schema in sorted(schemas.items()):
        if "properties" in schema:
            lines += _object(name, schema)
    return "\n".join(lines).rstrip() + "\n"


def _operation(path: str, method: str, operation: Schema) -> Iterator[str]:
    yield f"## {method.upper()} {path}"
    yield ""
    yield operation.get("description", "")
    yield ""
    parameters = operation.get("parameters", [])
    if parameters:
        yield "| parameter | in | type | meaning |"
        yield "|---|---|---|---|"
        for parameter in parameters:
            yield _row(
                f"`{parameter['name']}`",
                parameter["in"],
                kind(parameter["schema"]),
                _meaning(parameter["schema"], parameter.get("description", ""), required=parameter.get("required")),
            )
        yield ""
    for media, content in operation.get("requestBody", {}).get("content", {}).items():
        yield f"Takes `{media}`: {kind(content['schema'])}."
        yield ""
    for status, response in sorted(operation["responses"].items()):
        if status in UNIVERSAL and "Problem" in str(response):
            continue
        yield from _response(status, response)
    yield ""


def _response(status: str, response: Schema) -> Iterator[str]:
    gives = " or ".join(
        f"{kind(content['schema'])} (`{media}`)"
        for media, content in response.get("content", {}).items()
        if content.get("schema")
    )
    said = response.get("description", "").replace("Successful Response", "")
    yield f"- **{status}** " + ": ".join(part for part in (said, gives) if part)


def _object(name: str, schema: Schema) -> Iterator[str]:
    yield f"### {name}"
    yield ""
    said = schema.get("description", "").strip()
    if said:
        yield said
        yield ""
    yield "| field | type | meaning |"
    yield "|---|---|---|"
    required = schema.get("required", []) if name.endswith("Request") else []  # a response holds all of its fields
    for field, part in sorted(schema["properties"].items(), key=lambda each: each[0] not in required):
        yield _row(f"`{field}`", kind(part), _meaning(part, part.get("description", ""), required=field in required))
    yield ""


def _meaning(schema: Schema, description: str, *, required: bool | None) -> str:
    described = [description, *(part.get("description", "") for part in schema.get("anyOf", []))]
    said = [next(filter(None, described))] if any(described) else []
    if required:
        said.append("required")
    if schema.get("default") not in (None, "", {}):
        said.append(f"default {schema['default']}")
    bounds = _bounds(schema)
    if bounds:
        said.append(bounds)
    return "; ".join(said)


def _bounds(schema: Schema) -> str:
    for part in (schema, *schema.get("anyOf", [])):
        low, high = part.get("minimum"), part.get("maximum")
        if low is not None and high is not None:
            return f"{low:g} to {high:g}" if high < MANY else f"at least {low:g}"
        if part.get("maxLength") is not None:
            return f"at most {part['maxLength']} characters"
    return ""


def kind(schema: Schema) -> str:
    """A schema in a few words: a link to an object, a type, a list of either, alternatives."""
    if "$ref" in schema:
        name = schema["$ref"].rsplit("/", 1)[1]
        return "any JSON value" if name == "JsonValue" else f"[{name}](#{name.lower()})"
    if "anyOf" in schema:
        return " or ".join(kind(part) for part in schema["anyOf"])
    if "enum" in schema:
        return ", ".join(f"`{value}`" for value in schema["enum"])
    if "const" in schema:
        return f"`{schema['const']}`"
    if schema.get("format") == "binary":
        return "file"
    if schema.get("type") == "array":
        return f"list of {kind(schema['items'])}"
    if schema.get("type") == "object":
        values = schema.get("additionalProperties")
        return f"object of {kind(values)}" if isinstance(values, dict) and values else "object"
    names = {"string": "text", "null": "null", "integer": "whole number", "number": "number", "boolean": "boolean"}
    if schema.get("format") == "date-time":
        return "time (RFC 3339)"
    return names.get(str(schema.get("type")), "any JSON value")


def _row(*cells: str) -> str:
    return "| " + " | ".join(cell.replace("|", "\\|").replace("\n", " ") for cell in cells) + " |"
