"""`rag config`: every setting with its value, meaning, unit and origin."""

import re

import click

from rag.cli import options, output

_PASSWORD = re.compile(r"(//[^:/@]*:)[^@/]*@")


@click.command("config")
@options.as_json
@options.common
def command(json: bool) -> None:
    """Show every setting, its meaning and where its value comes from.

    Later wins: default, rag.toml in the current folder (or the file RAG_CONFIG names), RAG_<NAME>, flags.
    """
    from rag.config import options as all_options

    found = options.loaded()
    if json:
        entries = [
            {
                "name": option.name,
                "value": _value(getattr(found.settings, option.name)),
                "default": _value(option.default),
                "meaning": option.meaning,
                "unit": option.unit,
                "choices": list(option.choices),
                "origin": found.origins[option.name],
            }
            for option in all_options()
        ]
        output.print_json({"settings": entries})
        return
    for option in all_options():
        value = _value(getattr(found.settings, option.name))
        told = ", ".join(value) if isinstance(value, list) else str(value)
        unit = f" {option.unit}" if option.unit and told else ""
        origin = output.faint(f"  ({found.origins[option.name]})")
        output.say(f"{output.strong(option.name)} = {output.one_line(told) or '–'}{unit}{origin}")
        choices = f": {', '.join(option.choices)}" if option.choices else ""
        output.say(output.wrapped(option.meaning + choices, indent="    "))


def _value(value: object) -> str | int | float | list[str]:
    """A setting's value as JSON, a database's password hidden."""
    if isinstance(value, tuple):
        return [str(item) for item in value]
    if isinstance(value, (int, float)):
        return value
    return _PASSWORD.sub(r"\1***@", str(value))
