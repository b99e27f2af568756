"""Local models: many requests in one batch, each as if it were alone; cancelling, seeds, limits, lookup, grounding."""

import json
import re
import shutil
import threading
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import TYPE_CHECKING

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from rag import embedders, generators
from rag.answers.claims import MARKER
from rag.api.application import create
from rag.app import opening
from rag.corpus import Origin
from rag.errors import Busy, GeneratorFailed, WrongSetting
from rag.generators._local.grounding import NUMBER, State, sources_of
from rag.generators._local.spoken import Vocabulary
from rag.generators.transformers import LocalModel
from rag.types import Finish, GenerationSettings, Hit, Message, Models, Passage, Prompt, Running, Text, Usage
from tests.api import OTTERS, client, small
from tests.tiny_models import CHAT_TEMPLATE, TEXTS, _tokenizer

if TYPE_CHECKING:  # else both processes of a run would read torch, seven seconds, to collect what one of them runs
    import torch
    from transformers import PreTrainedModel

    from rag.generators._local.scheduler import Runner

CONTEXT = 192
QUOTES = re.compile(r"\"([^\"]*)\"")
SOURCES = (
    ("Norderney", "The lighthouse of Norderney was built in 1874. It is 54 metres high, says James Watt."),
    ("Engines", 'He made it three times as strong in 1769: "the first of its kind", as they said.'),
)


def passages(texts: Sequence[tuple[str, str]]) -> tuple[Passage, ...]:
    return tuple(
        Passage(Hit(n, 1.0, {}), text, title, (), (), None, 0, len(text), n) for n, (title, text) in enumerate(texts, 1)
    )


def prompt(text: str, texts: Sequence[tuple[str, str]] = ()) -> Prompt:
    return Prompt("When?", (Message("user", text),), passages(texts), "", 0)


@dataclass
class Said:
    text: str = ""
    usage: Usage = field(default_factory=lambda: Usage(None, None))
    finish: str = ""


def say(
    generator: LocalModel, asked: Prompt, wanted: GenerationSettings, cancel: threading.Event | None = None
) -> Said:
    said = Said()
    for event in generator.generate(asked, wanted, cancel or threading.Event()):
        if isinstance(event, Text):
            said.text += event.text
        elif isinstance(event, Usage):
            said.usage = event
        elif isinstance(event, Finish):
            said.finish = event.reason
    return said


def at_once(jobs: Sequence[Callable[[], Said]]) -> list[Said]:
    """What each says when all are asked at the same time."""
    found: dict[int, Said] = {}
    threads = [threading.Thread(target=lambda n=n, job=job: found.update({n: job()})) for n, job in enumerate(jobs)]  # type: ignore[misc]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    return [found[n] for n in range(len(jobs))]


@contextmanager
def passes(
    model: "PreTrainedModel", each: Callable[[int], None] = lambda number: None, limit: int = CONTEXT
) -> Iterator[list[tuple[int, int]]]:
    """The shapes (rows, tokens) of the model's forward passes; `each` is told their number before they run. No token
    may stand beyond `limit`."""
    seen: list[tuple[int, int]] = []

    def note(_: object, __: object, given: "dict[str, torch.Tensor]") -> None:
        assert int(given["position_ids"].max()) < limit
        each(len(seen) + 1)
        seen.append(tuple(given["input_ids"].shape))

    handle = model.register_forward_pre_hook(note, with_kwargs=True)
    try:
        yield seen
    finally:
        handle.remove()


@pytest.fixture(scope="module")
def models(tmp_path_factory: pytest.TempPathFactory) -> Models:
    return Models(embedders.load("hashing:64", models_dir=tmp_path_factory.mktemp("none")))


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A model of random weights, which says anything."""
    import torch
    from transformers import AutoConfig, AutoModelForCausalLM

    made = tmp_path_factory.mktemp("random")
    tokenizer = _tokenizer(TEXTS)
    tokenizer.model_max_length = CONTEXT
    tokenizer.chat_template = CHAT_TEMPLATE
    tokenizer.save_pretrained(made)
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(0)
        config = AutoConfig.for_model(
            "llama",
            vocab_size=len(tokenizer),
            hidden_size=64,
            intermediate_size=96,
            num_hidden_layers=2,
            num_attention_heads=4,
            num_key_value_heads=2,
            max_position_embeddings=CONTEXT,
            initializer_range=0.4,
            eos_token_id=tokenizer.eos_token_id,
            bos_token_id=None,
            pad_token_id=tokenizer.pad_token_id,
        )
        AutoModelForCausalLM.from_config(config).save_pretrained(made)
    return made


def load(folder: Path, models: Models, running: Running | None = None) -> LocalModel:
    loaded = generators.load(f"transformers:{folder}", replace(models, running=running or Running()))
    assert isinstance(loaded, LocalModel)
    return loaded


@pytest.fixture(scope="module")
def model(folder: Path, models: Models) -> LocalModel:
    return load(folder, models, Running(batch=16))


HOT = GenerationSettings(max_tokens=24, temperature=1.3, top_p=0.95)
COLD = GenerationSettings(max_tokens=24)
ASKED = [prompt("light " * n + f"house {n}") for n in range(1, 17)]


# ── many at once ────────────────────────────────────────────────────────────────────────────────────────────────────


def test_sixteen_at_once_say_what_the_library_says_for_each(model: LocalModel) -> None:
    import torch

    def alone(asked: Prompt) -> str:
        ids = torch.tensor([model._token_ids(asked.messages)])
        told = model.model.generate(ids, attention_mask=torch.ones_like(ids), max_new_tokens=24, do_sample=False)
        return str(model.tokenizer.decode(told[0, ids.shape[1] :], skip_special_tokens=True))

    with passes(model.model) as seen:
        together = at_once([lambda asked=asked: say(model, asked, COLD) for asked in ASKED])  # type: ignore[misc]
    assert together == [say(model, asked, COLD) for asked in ASKED]
    assert [said.text for said in together[::4]] == [alone(asked) for asked in ASKED[::4]]
    assert len({said.text for said in together}) > 8
    assert max(rows for rows, _ in seen) > 4
    assert len(seen) < 16 * 20


def test_a_seed_gives_one_answer_whoever_else_is_there(model: LocalModel) -> None:
    import torch

    before = torch.get_rng_state()
    alone = [say(model, ASKED[n], replace(HOT, seed=n)) for n in range(6)]
    crowd: list[Callable[[], Said]] = [lambda n=n: say(model, ASKED[n], replace(HOT, seed=n)) for n in range(6)]  # type: ignore[misc]
    crowd += [lambda n=n: say(model, ASKED[n], replace(HOT, seed=n + 50)) for n in range(6, 12)]  # type: ignore[misc]
    assert at_once(crowd)[:6] == alone
    assert len({said.text for said in alone}) == 6
    assert say(model, ASKED[0], replace(HOT, seed=99)).text != alone[0].text
    assert torch.equal(torch.get_rng_state(), before)


def test_a_request_joins_while_another_is_answered(model: LocalModel) -> None:
    joined: list[Said] = []
    second = threading.Thread(target=lambda: joined.append(say(model, ASKED[1], COLD)))

    def join(number: int) -> None:
        if number == 3:
            second.start()
            while len(model.scheduler._queue) == 0:  # until it waits
                pass

    with passes(model.model, join) as seen:
        say(model, ASKED[0], COLD)
        second.join()
    assert [rows for rows, _ in seen[:4]] == [1, 1, 1, 1]
    assert 2 in [rows for rows, tokens in seen if tokens == 1]
    assert joined[0].finish


def test_nobody_works_for_an_asker_who_has_gone(model: LocalModel) -> None:
    cancel, reached, left = threading.Event(), threading.Event(), threading.Event()
    with passes(model.model, lambda number: cancel.set() if number == 5 else None) as seen:
        said = say(model, ASKED[0], COLD, cancel)
    assert (said.finish, len(seen)) == ("cancelled", 5)

    def pause(number: int) -> None:
        if number == 5:
            reached.set()
            assert left.wait(20)

    events = model.generate(ASKED[0], COLD, threading.Event())
    with passes(model.model, pause) as seen:
        next(events)
        assert reached.wait(20)
        events.close()  # type: ignore[attr-defined]
        left.set()
        say(model, ASKED[1], replace(COLD, max_tokens=1))  # the thread has come past the fifth pass now
    assert len(seen) == 6
    assert seen[5][1] > 1  # the prompt of the second request


def test_the_others_go_on_when_one_is_cancelled(model: LocalModel) -> None:
    alone = [say(model, asked, COLD) for asked in ASKED[:4]]
    cancel = threading.Event()
    jobs: list[Callable[[], Said]] = [lambda asked=asked: say(model, asked, COLD) for asked in ASKED[1:4]]  # type: ignore[misc]
    with passes(model.model, lambda number: cancel.set() if number == 12 else None):
        said = at_once([lambda: say(model, ASKED[0], COLD, cancel), *jobs])
    assert said[1:] == alone[1:]
    assert said[0].finish == "cancelled"
    assert alone[0].text.startswith(said[0].text)


def test_a_full_queue_says_so_at_once_and_when_to_come_back(folder: Path, models: Models) -> None:
    small = load(folder, models, Running(batch=1, queue=1))
    released = threading.Event()
    with passes(small.model, lambda number: None if released.wait(20) else pytest.fail("never released")):
        taken = [small.generate(asked, COLD, threading.Event()) for asked in ASKED[:2]]
        with pytest.raises(Busy, match="generator_queue") as refused:
            small.generate(ASKED[2], COLD, threading.Event())
        assert refused.value.retry_after_s > 0
        released.set()
        assert all(isinstance(list(events)[-1], Finish) for events in taken)
    assert say(small, ASKED[2], COLD).finish


def test_over_http_a_full_queue_is_503_with_retry_after(folder: Path, tmp_path: Path) -> None:
    roomy = tmp_path / "model"
    shutil.copytree(folder, roomy)
    for name, limit in (("config.json", "max_position_embeddings"), ("tokenizer_config.json", "model_max_length")):
        values = json.loads((roomy / name).read_text())
        (roomy / name).write_text(json.dumps(values | {limit: 2048}))
    (tmp_path / "otters.txt").write_text(OTTERS)
    chosen = small(tmp_path, generator=f"transformers:{roomy}", generator_batch=1, generator_queue=0, abstain="never")
    with opening(chosen, create=True) as app:
        app.corpus().add_paths([tmp_path / "otters.txt"], Origin("local"), max_bytes=2**20)
        local = app.generator()
        assert isinstance(local, LocalModel)
        reached, released = threading.Event(), threading.Event()

        def pause(number: int) -> None:
            reached.set()
            assert released.wait(20)

        with client(create(app)) as browser, passes(local.model, pause, limit=2048):
            asked = {"question": "Why do otters hold hands?"}
            statuses: list[int] = []
            first = threading.Thread(target=lambda: statuses.append(browser.post("/api/ask", json=asked).status_code))
            first.start()
            assert reached.wait(20)
            for accept in ("application/json", "text/event-stream"):
                refused = browser.post("/api/ask", json=asked, headers={"accept": accept})
                assert (refused.status_code, refused.headers["retry-after"]) == (503, "5")
                assert "generator_queue" in refused.json()["detail"]
            released.set()
            first.join()
        assert statuses == [200]


def test_a_failure_is_that_of_those_it_met(model: LocalModel) -> None:
    def fail(number: int) -> None:
        if number == 4:
            raise RuntimeError("out of memory")

    with passes(model.model, fail), pytest.raises(GeneratorFailed, match="failed while answering: RuntimeError: out"):
        say(model, ASKED[0], COLD)
    assert say(model, ASKED[0], COLD).finish in ("stop", "length")


# ── limits ──────────────────────────────────────────────────────────────────────────────────────────────────────────


@given(words=st.integers(0, CONTEXT + 20), most=st.integers(1, CONTEXT), lookup=st.booleans(), seed=st.integers(0, 9))
@settings(max_examples=25, deadline=None)
def test_the_context_is_never_exceeded(model: LocalModel, words: int, most: int, lookup: bool, seed: int) -> None:
    looking = replace(model, running=replace(model.running, lookup=lookup))
    asked, wanted = prompt("light " * words), GenerationSettings(most, 1.0, seed=seed)
    with passes(model.model):  # checks the positions
        if len(model._token_ids(asked.messages)) >= CONTEXT:
            with pytest.raises(GeneratorFailed, match=f"of a context of {CONTEXT}"):
                say(looking, asked, wanted)
            return
        said = say(looking, asked, wanted)
    taken, told = said.usage.prompt_tokens, said.usage.completion_tokens
    assert taken is not None
    assert told is not None
    assert told <= most
    assert taken + told <= CONTEXT
    assert (said.finish == "length") == (told in (most, CONTEXT - taken))


def test_a_stop_string_may_span_tokens(model: LocalModel) -> None:
    whole = say(model, ASKED[3], COLD).text
    for at in range(2, min(len(whole) - 4, 20), 3):
        stop = whole[at : at + 4]
        said = say(model, ASKED[3], replace(COLD, stop=(stop,)))
        assert said.text == whole[: whole.index(stop)]
        assert said.finish == "stop"


def test_what_cannot_run_here_is_refused(folder: Path, models: Models) -> None:
    import torch

    with pytest.raises(WrongSetting, match="generator_device: nothing cannot be used here"):
        load(folder, models, Running(device="nothing"))
    try:
        import bitsandbytes  # type: ignore[import-not-found]  # noqa: F401
    except ImportError:
        with pytest.raises(WrongSetting, match=r"pip install 'rag\[quantize\]'"):
            load(folder, models, Running(bits=4))
    assert load(folder, models, Running(dtype="bfloat16")).model.dtype == torch.bfloat16


# ── prompt lookup ───────────────────────────────────────────────────────────────────────────────────────────────────


def test_lookup_changes_nothing_at_any_temperature(model: LocalModel) -> None:
    from rag.generators._local.scheduler import Scheduler, Together

    looking = replace(
        model,
        running=replace(model.running, lookup=True),
        scheduler=Scheduler("looking", lambda: Together(model.model, 16, proposals=True), 99),
    )
    repeated = [prompt(asked.messages[0].content * 3) for asked in ASKED[:6]]
    jobs = [(asked, replace(HOT, seed=n, temperature=t)) for n, asked in enumerate(repeated) for t in (0.0, 0.5, 1.0)]
    alone = [say(model, asked, wanted) for asked, wanted in jobs]
    assert at_once([lambda job=job: say(looking, *job) for job in jobs]) == alone  # type: ignore[misc]


# ── models of every make ────────────────────────────────────────────────────────────────────────────────────────────

SMALL = {
    "vocab_size": 260,
    "hidden_size": 32,
    "intermediate_size": 64,
    "num_hidden_layers": 2,
    "num_attention_heads": 4,
    "num_key_value_heads": 2,
    "max_position_embeddings": 256,
    "head_dim": 8,
    "pad_token_id": 0,
    "initializer_range": 0.3,
}
MAKES: dict[str, tuple[bool, dict[str, object]]] = {
    "qwen3": (True, SMALL),
    "mistral": (True, {**SMALL, "sliding_window": 8}),  # every layer sees eight tokens back
    "gemma3_text": (
        True,
        {
            **SMALL,
            "sliding_window": 8,
            "layer_types": ["sliding_attention", "full_attention"],
            "tie_word_embeddings": False,
        },
    ),
    "gpt2": (True, {"vocab_size": 260, "n_embd": 32, "n_layer": 2, "n_head": 4, "initializer_range": 0.3}),
    "bloom": (False, {"vocab_size": 260, "hidden_size": 32, "n_layer": 2, "n_head": 4, "initializer_range": 0.3}),
    "mamba": (False, {"vocab_size": 260, "hidden_size": 32, "num_hidden_layers": 2, "initializer_range": 0.3}),
}


@pytest.mark.parametrize("make", MAKES)
def test_models_of_every_make_are_decoded_as_the_library_does(make: str) -> None:
    """Those that bear rows of different lengths share their passes, the others take turns."""
    import torch
    from transformers import AutoConfig, AutoModelForCausalLM

    from rag.generators._local.scheduler import Apart, Scheduler, Together
    from rag.generators._local.slots import bears
    from rag.generators._local.speech import Speech

    shared, options = MAKES[make]
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(1)
        config = AutoConfig.for_model(make, **options)
        config.eos_token_id = config.bos_token_id = None
        made = AutoModelForCausalLM.from_config(config).eval()
        prompts = [torch.randint(1, 260, (n,)).tolist() for n in (5, 40, 23)]
    assert bears(made) is shared

    def runner() -> "Runner":
        return Together(made, 8, proposals=True) if shared else Apart(made, 8)

    vocabulary = Vocabulary(lambda tokens: "".join(chr(0x100 + token) for token in tokens), 260, 1)
    scheduler = Scheduler(make, runner, 9)
    asked = [
        Speech(ids, COLD, room=20, ends=frozenset(), vocabulary=vocabulary, cancel=threading.Event()) for ids in prompts
    ]
    for speech in asked:
        scheduler.submit(speech)
    for ids, speech in zip(prompts, asked, strict=True):
        told = made.generate(
            torch.tensor([ids]),
            attention_mask=torch.ones(1, len(ids), dtype=torch.long),
            max_new_tokens=20,
            do_sample=False,
            pad_token_id=0,
        )
        expected = told[0, len(ids) :].tolist()
        text = ""
        while not isinstance(event := speech.events.get(timeout=30), Finish):
            assert not isinstance(event, Exception), event
            text += event.text if isinstance(event, Text) else ""
        assert [ord(char) - 0x100 for char in text] == expected
        assert len(set(expected)) > 1


# ── grounding ───────────────────────────────────────────────────────────────────────────────────────────────────────


def stray(text: str, question: str = "When?") -> list[str]:
    """The numbers of an answer that stand in no source, and the quotes; markers apart."""
    told = [question, *(part for source in SOURCES for part in source)]
    known = {number for one in told for number in NUMBER.findall(one)}
    unmarked = MARKER.sub(" ", text)
    quoted = [" ".join(quote.split()) for quote in QUOTES.findall(text)]
    return [number for number in NUMBER.findall(unmarked) if number not in known] + [
        quote for quote in quoted if not any(quote in " ".join(one.split()) for one in told)
    ]


def test_no_number_is_said_that_no_passage_has(model: LocalModel) -> None:
    """A model of random weights, at a temperature at which it says anything, over many seeds."""
    asked = prompt("light", SOURCES)
    wanted = [GenerationSettings(40, 1.0 + seed % 3, seed=seed) for seed in range(36)]
    free = at_once([lambda one=one: say(model, asked, one) for one in wanted[:12]])  # type: ignore[misc]
    bound = [
        said.text
        for at in range(0, len(wanted), 12)
        for said in at_once(
            [lambda one=one: say(model, asked, replace(one, grounded=True)) for one in wanted[at : at + 12]]  # type: ignore[misc]
        )
    ]
    assert sum(bool(stray(said.text)) for said in free) > 6
    assert [stray(text) for text in bound if stray(text)] == []
    sources = sources_of("When?", SOURCES)
    for text in bound:
        state = sources.read(State(), text)
        assert state is not None
        assert sources.closed(state)
    assert len(set(bound)) > 30
    assert any(char.isdigit() for text in bound for char in text)


def test_a_grounded_answer_is_not_cut_within_a_number(model: LocalModel) -> None:
    asked = prompt("light", SOURCES)
    for seed in range(12):
        for most in (3, 7):
            wanted = GenerationSettings(most, 2.0, seed=seed, stop=("7", "4", "er"), grounded=True)
            assert stray(say(model, asked, wanted).text) == []
