"""The main job with real models: a transformers model answers from documents, on the command line and over the API,
streamed and not, with its prompt and response in the log."""

import json
import os
import subprocess
import sys
from collections.abc import Callable, Iterator
from dataclasses import replace
from pathlib import Path

import pytest

from rag.api.models.answers import AskResult
from rag.app import App
from rag.client import Client, Text
from rag.config import Settings
from rag.store import interactions as interaction_store
from rag.types import Interaction
from tests.api import server
from tests.forking import Forking
from tests.tiny_models import tiny_causal

TEXTS = {
    "bridge.txt": "The Golden Gate Bridge was opened in 1937. Its main span measures 1,280 metres.",
    "etna.txt": "Mount Etna is the tallest active volcano in Europe. It stands on Sicily.",
    "tea.txt": "Green tea is brewed at 80 degrees. Black tea wants boiling water.",
}
QUESTION = "In which year was the bridge opened?"
ANSWER = "The Golden Gate Bridge was opened in 1937. [1]"


READ = """
import numpy, onnxruntime, sqlite3, sqlalchemy.dialects.sqlite, tokenizers, torch
from transformers import AutoModelForCausalLM, AutoTokenizer, LlamaForCausalLM, PreTrainedTokenizerFast
import rag.app, rag.ask, rag.cli.ask, rag.cli.logs, rag.embedders.sentence_transformers, rag.generators.transformers
from rag.generators._local import chat, grounding, loading, lookup, scheduler, slots, speech, spoken
"""


@pytest.fixture(scope="module")
def settings(tmp_path_factory: pytest.TempPathFactory, models_dir: Path) -> Settings:
    """A data folder with three documents in it, the default embedder, and a tiny transformers model as generator."""
    folder = tmp_path_factory.mktemp("whole")
    (folder / "docs").mkdir()
    for name, text in TEXTS.items():
        (folder / "docs" / name).write_text(text)
    model = tiny_causal(folder / "tiny", texts=tuple(TEXTS.values()))
    settings = Settings(data=folder / "data", models=models_dir, generator=f"transformers:{model}")
    done = subprocess.run(
        [sys.executable, *command(settings, "ingest", str(folder / "docs"), "--json")],
        env=environment(settings),
        capture_output=True,
        text=True,
        check=False,
    )
    assert done.returncode == 0, done.stderr
    assert json.loads(done.stdout)["documents"] == 3
    return settings


def command(settings: Settings, *arguments: str) -> list[str]:
    return ["-m", "rag", "--data", str(settings.data), *arguments]


def environment(settings: Settings) -> dict[str, str]:
    outside = {name: value for name, value in os.environ.items() if not name.startswith("RAG_")}
    return {**outside, "RAG_MODELS": str(settings.models), "RAG_GENERATOR": settings.generator}


Rag = Callable[..., str]
"""What `rag …` prints, in a process of its own."""


@pytest.fixture(scope="module")
def rag(settings: Settings) -> Iterator[Rag]:
    """Forked from a process that has read torch; a new interpreter that reads it is the API's."""
    forking = Forking(READ)

    def printed(*arguments: str) -> str:
        done = forking.run(command(settings, *arguments), env=environment(settings))
        assert done.returncode == 0, done.stderr
        return done.stdout

    yield printed
    forking.close()


def logged(settings: Settings, interaction_id: str) -> Interaction:
    app = App.open(settings)
    with app.database.read() as connection:
        entry = interaction_store.get(connection, app.tenant_id, interaction_id)
    app.close()
    return entry


def check(settings: Settings, interaction_id: str, user: str) -> None:
    """The log holds the prompt as it was rendered, the response, the model and what it was shown."""
    entry = logged(settings, interaction_id)
    assert entry.answer is not None
    assert entry.prompt is not None
    assert entry.answer.text.strip() == ANSWER
    assert not entry.answer.abstained
    assert entry.model == settings.generator
    assert entry.revision
    assert entry.user == user
    assert QUESTION in entry.prompt.messages[-1].content
    assert TEXTS["bridge.txt"] in entry.prompt.messages[-1].content
    assert entry.passages[0].text == TEXTS["bridge.txt"]
    assert entry.answer.usage.prompt_tokens == entry.prompt.tokens
    assert entry.answer.usage.completion_tokens
    citation = entry.answer.citations[0]
    assert (citation.verdict, citation.passage, citation.marked) == ("supported", 1, True)
    assert citation.quote == "The Golden Gate Bridge was opened in 1937."
    assert {score.name: score.value for score in entry.scores}["faithfulness"] == 1.0


def test_on_the_command_line_as_json(rag: Rag, settings: Settings) -> None:
    answer = json.loads(rag("ask", QUESTION, "--json"))
    assert answer["answer"].strip() == ANSWER
    assert answer["generator"] == settings.generator
    check(settings, answer["interaction_id"], "local")


def test_on_the_command_line_as_text(rag: Rag, settings: Settings) -> None:
    said = rag("ask", QUESTION)
    assert ANSWER in said
    listed = json.loads(rag("logs", "-n", "1", "--json"))["interactions"][0]
    assert listed["interaction_id"] in said, "it says how to see the log entry"
    check(settings, listed["interaction_id"], "local")


@pytest.fixture(scope="module")
def api(settings: Settings) -> Iterator[Client]:
    with server(replace(settings, workers=1)) as url, Client(url, timeout_s=120) as client:
        yield client


def test_over_the_api_as_json(api: Client, settings: Settings) -> None:
    answer = api.ask(QUESTION)
    assert str(answer.answer).strip() == ANSWER
    check(settings, answer.interaction_id, "local")


def test_over_the_api_as_events(api: Client, settings: Settings) -> None:
    events = list(api.stream(QUESTION))
    assert len([event for event in events if isinstance(event, Text)]) > 1, "it comes piece by piece"
    done = events[-1]
    assert isinstance(done, AskResult)
    check(settings, done.interaction_id, "local")
