"""Prompt templates: Jinja2 in a sandbox, of which only what writes texts may be used; checked before they are kept.

A template has the blocks `user` and, if it wants, `system`; each becomes one message. It may use the variables of
`VARIABLES`, loops over passages and history, conditions and a few filters. Nothing else is let through (no calls, no
assignments, no arithmetic, no other files): so no template can take more memory or time than its texts are long, which
a sandbox alone does not promise.
"""

import re
from collections.abc import Mapping, Sequence
from functools import lru_cache
from typing import TYPE_CHECKING, Literal

from rag.errors import TooMuch, WrongUsage
from rag.types import Message, Template

if TYPE_CHECKING:
    from jinja2 import Template as Compiled
    from jinja2 import nodes

VARIABLES: Mapping[str, str] = {
    "question": "what is asked",
    "passages": "the passages, best first",
    "history": "earlier turns of the conversation, oldest first; empty where there are none",
    "fence": "a run of tildes that none of these texts holds",
    "abstention": "the sentence that says that the documents do not answer",
}
FIELDS: Mapping[str, Mapping[str, str]] = {
    "passages": {
        "number": "by which it is cited, from 1",
        "label": "title and headings, on one line",
        "title": "title, on one line",
        "text": "the text",
        "page": "page, or none",
        "source": "address of the first document that holds it",
        "commands": "whether the text holds commands to whoever reads it, a model above all",
    },
    "history": {"role": "user or assistant", "content": "what was said, without citation markers"},
}
FILTERS = frozenset({"trim", "upper", "lower", "title", "capitalize", "length", "count", "first", "last", "default"})
TESTS = frozenset({"defined", "none", "odd", "even"})
LONGEST_TEXT = 65_536  # characters of a template
LONGEST_PROMPT = 10_000_000  # characters that it may write
NESTED = 2  # loops within loops
_ROLES: tuple[Literal["system", "user"], ...] = ("system", "user")  # blocks, in the order of the messages
_NAME = re.compile(r"[a-z0-9][a-z0-9_-]{0,63}")
_LOOP = frozenset({"index", "index0", "first", "last", "length", "revindex", "revindex0"})
_HARMLESS = frozenset(
    {"Block", "Output", "TemplateData", "Name", "Getattr", "Getitem", "Slice", "Const", "If", "For", "CondExpr"}
    | {"And", "Or", "Not", "Compare", "Operand", "Filter", "Test", "Keyword"}
)


def messages(template: Template, values: Mapping[str, object]) -> tuple[Message, ...]:
    """The template's messages for these values of `VARIABLES`.

    Raises WrongUsage where the template cannot be read or asks for what is not there, with the line; TooMuch where it
    writes more than `LONGEST_PROMPT` characters.
    """
    loaded = _compiled(template)
    return tuple(_message(template, loaded, role, values) for role in _ROLES if role in loaded.blocks)


def uses(template: Template, variable: str) -> bool:
    """Whether a template asks for a variable. Raises WrongUsage where it cannot be read."""
    return variable in _used(template)


def check(template: Template) -> tuple[str, ...]:
    """Raise WrongUsage unless the template can be kept: it can be read, and shows question and passages whatever there
    is of them. The answer is what it lacks without being wrong, in words."""
    if not _NAME.fullmatch(template.name):
        raise WrongUsage(
            f"{template.name!r} cannot name a template: up to 64 of a-z, 0-9, - and _, the first a letter or digit"
        )
    if len(template.text) > LONGEST_TEXT:
        raise WrongUsage(f"{template.name}: the template has {len(template.text)} characters, {LONGEST_TEXT} at most")
    if "\x00" in template.text:
        raise WrongUsage(f"{template.name}, line {_line(template, template.text.index(chr(0)))}: it holds a NUL")
    for passages in (0, 1, 2):
        for turns in (0, 2):
            _try(template, passages, turns)
    used = _used(template)
    remarks = {
        "fence": "it does not use {{ fence }}: a passage can imitate whatever stands around it",
        "abstention": "it does not use {{ abstention }}: an answer that says no in other words is not told from others",
    }
    lacking = [said for name, said in remarks.items() if name not in used]
    if "number" not in used and "index" not in used:
        lacking.append("it does not number the passages: answers cannot cite them")
    return tuple(lacking)


def _try(template: Template, passages: int, turns: int) -> None:
    """Render with made-up values, each of which can be told from all other text."""
    texts = [f"qzpassage{number}zq" for number in range(1, passages + 1)]
    values: dict[str, object] = {
        "question": "qzquestionzq",
        "passages": [passage(i, f"Title {i}", text, title="T", source="file:x") for i, text in enumerate(texts, 1)],
        "history": [{"role": role, "content": "Said."} for role in ("user", "assistant")][:turns],
        "fence": "~~~",
        "abstention": "No.",
    }
    told = "\n".join(message.content for message in messages(template, values)).lower()
    for what, wanted in (("question", "qzquestionzq"), *(("text of a passage", text) for text in texts)):
        if wanted not in told:
            raise WrongUsage(
                f"{template.name}: the template does not show the {what}"
                + (" where there is no history" if turns == 0 and "history" in _used(template) else "")
                + "; it needs {{ question }} and {% for passage in passages %} … {{ passage.text }} … {% endfor %}"
            )


def passage(
    number: int, label: str, text: str, *, title: str, source: str, page: int | None = None, commands: bool = False
) -> dict[str, object]:
    """A passage as templates see it: the fields of `FIELDS`."""
    return {
        "number": number,
        "label": label,
        "title": title,
        "text": text,
        "page": page,
        "source": source,
        "commands": commands,
    }


def fence(texts: Sequence[str]) -> str:
    """A run of tildes longer than any in the texts, at least three: no text can close the fence around it."""
    longest = max((len(run) for text in texts for run in re.findall("~+", text)), default=0)
    return "~" * max(3, longest + 1)


# ── rendering ───────────────────────────────────────────────────────────────────────────────────────────────────────


def _message(
    template: Template, loaded: "Compiled", role: Literal["system", "user"], values: Mapping[str, object]
) -> Message:
    from jinja2 import TemplateError

    pieces, length = [], 0
    try:
        for piece in loaded.blocks[role](loaded.new_context(dict(values))):
            pieces.append(piece)
            length += len(piece)
            if length > LONGEST_PROMPT:
                raise TooMuch(f"the template {template.version} writes more than {LONGEST_PROMPT:,} characters")
    except (TemplateError, ArithmeticError, LookupError, TypeError, ValueError) as error:
        line = _raised_at(error)
        raise WrongUsage(f"{template.name}{'' if line is None else f', line {line}'}: {error}") from error
    return Message(role, "".join(pieces))


def _raised_at(error: BaseException) -> int | None:
    """The template's line where an error was raised."""
    line, trace = None, error.__traceback__
    while trace is not None:
        loaded = trace.tb_frame.f_globals.get("__jinja_template__")
        if loaded is not None:
            line = loaded.get_corresponding_lineno(trace.tb_lineno)
        trace = trace.tb_next
    return line


# ── reading ─────────────────────────────────────────────────────────────────────────────────────────────────────────


@lru_cache(maxsize=32)
def _compiled(template: Template) -> "Compiled":
    """The template, ready to render. Raises WrongUsage, naming the line, for what it may not hold."""
    from jinja2 import StrictUndefined, TemplateSyntaxError
    from jinja2.sandbox import ImmutableSandboxedEnvironment

    # autoescape stays off: the result is plain text for a model, not HTML.
    environment = ImmutableSandboxedEnvironment(undefined=StrictUndefined, autoescape=False)
    environment.globals.clear()
    try:
        tree = environment.parse(template.text)
        _check_tree(template, tree)
        loaded = environment.from_string(template.text)
    except TemplateSyntaxError as error:
        raise WrongUsage(f"{template.name}, line {error.lineno}: {error.message}") from error
    except (RecursionError, SyntaxError) as error:  # of Jinja2, or of Python, which it is compiled to
        raise WrongUsage(f"{template.name}: the template is nested too deeply") from error
    return loaded


@lru_cache(maxsize=32)
def _used(template: Template) -> frozenset[str]:
    """Every name and attribute that a template reads."""
    from jinja2 import Environment, nodes

    _compiled(template)
    tree = Environment(autoescape=False).parse(template.text)
    names = {node.name for node in tree.find_all(nodes.Name) if node.ctx == "load"}
    return frozenset(names | {node.attr for node in tree.find_all(nodes.Getattr)})


def _check_tree(template: Template, tree: "nodes.Template") -> None:
    from jinja2 import nodes

    def refuse(node: nodes.Node, said: str) -> None:
        raise WrongUsage(f"{template.name}, line {node.lineno}: {said}")

    blocks = _check_top(template, tree)
    if "user" not in blocks:
        raise WrongUsage(f"{template.name}: the template has no {{% block user %}}, which is what the model is asked")
    targets: set[str] = set()
    for loop in tree.find_all(nodes.For):
        if not isinstance(loop.target, nodes.Name):
            refuse(loop, "a loop has one variable")
        elif _looped(loop.iter) is None:
            refuse(loop, "loops go over passages or history")
        elif loop.recursive:
            refuse(loop, "loops are not recursive")
        elif loop.target.name in VARIABLES:
            refuse(loop, f"{loop.target.name!r} is a variable already; name the loop's otherwise")
        else:
            targets.add(loop.target.name)
    known = {*VARIABLES, *targets, "loop"}
    attributes = {*FIELDS["passages"], *FIELDS["history"], *_LOOP}
    for node in tree.find_all(nodes.Node):
        kind = type(node).__name__
        if kind not in _HARMLESS:
            refuse(node, f"{kind} cannot be used in a prompt template")
        elif isinstance(node, nodes.Name) and node.name not in known:
            refuse(node, f"there is no variable {node.name!r}; there are {', '.join(VARIABLES)}")
        elif isinstance(node, nodes.Getattr) and node.attr not in attributes:
            refuse(node, f"nothing has a field {node.attr!r}; passages have {', '.join(FIELDS['passages'])}")
        elif isinstance(node, nodes.Filter) and node.name not in FILTERS:
            refuse(node, f"there is no filter {node.name!r}; there are {', '.join(sorted(FILTERS))}")
        elif isinstance(node, nodes.Test) and node.name not in TESTS:
            refuse(node, f"there is no test {node.name!r}; there are {', '.join(sorted(TESTS))}")
    if _depth(tree) > NESTED:
        raise WrongUsage(f"{template.name}: more than {NESTED} loops stand within each other")


def _check_top(template: Template, tree: "nodes.Template") -> set[str]:
    """The blocks at the top, where nothing else may stand: it would be lost."""
    from jinja2 import nodes

    blocks: set[str] = set()
    for node in tree.body:
        if isinstance(node, nodes.Block):
            if node.name not in _ROLES:
                raise WrongUsage(f"{template.name}, line {node.lineno}: blocks are system and user, not {node.name!r}")
            blocks.add(node.name)
            inner = next(node.find_all(nodes.Block), None)
            if inner is not None:
                raise WrongUsage(f"{template.name}, line {inner.lineno}: a block stands within another")
        elif isinstance(node, nodes.Output):
            for part in node.nodes:
                if not isinstance(part, nodes.TemplateData) or part.data.strip():
                    raise _outside(template, part)
        else:
            raise _outside(template, node)
    return blocks


def _outside(template: Template, node: "nodes.Node") -> WrongUsage:
    from jinja2 import nodes

    line = node.lineno
    if isinstance(node, nodes.TemplateData):
        line += node.data[: len(node.data) - len(node.data.lstrip())].count("\n")
    return WrongUsage(
        f"{template.name}, line {line}: this stands outside of the blocks and would be lost; put it into "
        "{% block system %} … {% endblock %} or {% block user %} … {% endblock %}"
    )


def _looped(node: "nodes.Node") -> str | None:
    """What a loop goes over: passages or history, or a slice of them; None for anything else."""
    from jinja2 import nodes

    if isinstance(node, nodes.Getitem) and isinstance(node.arg, nodes.Slice):
        return _looped(node.node)
    return node.name if isinstance(node, nodes.Name) and node.name in FIELDS else None


def _depth(node: "nodes.Node") -> int:
    """How many loops stand within each other."""
    from jinja2 import nodes

    below = max((_depth(child) for child in node.iter_child_nodes()), default=0)
    return below + isinstance(node, nodes.For)


def _line(template: Template, at: int) -> int:
    return template.text.count("\n", 0, at) + 1


def described() -> Sequence[tuple[str, str]]:
    """Every variable and field with its meaning, for documentation."""
    found = []
    for name, meaning in VARIABLES.items():
        found.append((name, meaning))
        found += [(f"{name}[].{field}", said) for field, said in FIELDS.get(name, {}).items()]
    return found
