"""Generator models: installed whole or not at all, from a folder or a hub, with a clear word when the hub is away."""

import hashlib
import json
import os
import subprocess
import sys
from collections.abc import Iterator
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from threading import Thread

import numpy as np
import pytest
from safetensors.numpy import save_file

from rag.errors import ModelNotReady, WrongSetting
from rag.models import MANIFEST, RECOMMENDED, default_generator, installed, pull, verify

COMMIT = "0123456789" * 4
REPO = "owner/tiny"


@pytest.fixture
def local(tmp_path: Path) -> Path:
    """A model's folder with some things beside it that are none of its files."""
    folder = tmp_path / "my-model"
    (folder / "onnx").mkdir(parents=True)
    save_file({"weight": np.arange(1000, dtype=np.float32)}, folder / "model.safetensors")
    (folder / "config.json").write_text('{"model_type": "llama"}')
    (folder / "tokenizer.json").write_text("{}")
    (folder / "chat_template.jinja").write_text("{{ messages }}")
    (folder / "modeling_evil.py").write_text("raise SystemExit")
    (folder / "pytorch_model.bin").write_bytes(b"pickle")
    (folder / "onnx" / "model.json").write_text("{}")
    return folder


class Hub(ThreadingHTTPServer):
    """As much of the hub's protocol as a download needs, spoken for one repository at one commit."""

    daemon_threads = True

    def __init__(self, files: dict[str, bytes]) -> None:
        super().__init__(("127.0.0.1", 0), Answer)
        self.files = files
        self.announced = {name: hashlib.sha256(content).hexdigest() for name, content in files.items()}
        self.broken: set[str] = set()  # files whose content is not sent
        self.sent: list[str] = []  # files whose content was sent

    @property
    def url(self) -> str:
        return f"http://127.0.0.1:{self.server_address[1]}"


class Answer(BaseHTTPRequestHandler):
    server: Hub

    def do_HEAD(self) -> None:
        self.answer(body=False)

    def do_GET(self) -> None:
        self.answer(body=True)

    def answer(self, *, body: bool) -> None:
        path, _, _ = self.path.partition("?")
        if path in (f"/api/models/{REPO}", f"/api/models/{REPO}/revision/{COMMIT}"):
            siblings = [self.sibling(name, content) for name, content in self.server.files.items()]
            self.send(200, json.dumps({"id": REPO, "sha": COMMIT, "siblings": siblings}).encode(), body, {})
            return
        name = path.removeprefix(f"/{REPO}/resolve/{COMMIT}/")
        if name not in self.server.files:
            missing = "RevisionNotFound" if path.startswith(f"/api/models/{REPO}/") else "RepoNotFound"
            self.send(404, b"", body, {"X-Error-Code": missing})
        elif body and name in self.server.broken:
            self.send(403, b"", body, {})
        else:
            if body:
                self.server.sent.append(name)
            self.send(200, self.server.files[name], body, {"X-Repo-Commit": COMMIT, "ETag": f'"{name}"'})

    def sibling(self, name: str, content: bytes) -> dict[str, object]:
        value: dict[str, object] = {"rfilename": name, "size": len(content)}
        if name.endswith(".safetensors"):
            digest = self.server.announced[name]
            value["lfs"] = {"size": len(content), "sha256": digest, "pointerSize": 100}
        return value

    def send(self, status: int, content: bytes, body: bool, headers: dict[str, str]) -> None:
        self.send_response(status)
        for name, value in {**headers, "Content-Length": str(len(content))}.items():
            self.send_header(name, value)
        self.end_headers()
        if body:
            self.wfile.write(content)

    def log_message(self, format: str, *args: object) -> None:
        """Says nothing."""


@pytest.fixture
def hub(local: Path) -> Iterator[Hub]:
    server = Hub({file.name: file.read_bytes() for file in local.iterdir() if file.is_file()})
    Thread(target=server.serve_forever, kwargs={"poll_interval": 0.01}).start()
    yield server
    server.shutdown()
    server.server_close()


def pull_in_child(models_dir: Path, repo: str, revision: str | None, **environment: str) -> dict[str, object]:
    """What `pull` did, in a process of its own: the hub's library reads its environment once, when imported."""
    code = (
        "import json, sys; from pathlib import Path; from rag.errors import RagError; from rag.models import pull\n"
        "seen = []\n"
        "try:\n"
        "    model = pull(sys.argv[2], sys.argv[3] or None, models_dir=Path(sys.argv[1]),\n"
        "                 progress=lambda done, total: seen.append((done, total)))\n"
        "    print(json.dumps({'repo': model.repo, 'revision': model.revision, 'seen': seen}))\n"
        "except RagError as error:\n"
        "    print(json.dumps({'error': str(error), 'kind': type(error).__name__}))\n"
    )
    ours = {"HF_HUB_DISABLE_XET": "1", "HF_HUB_DISABLE_TELEMETRY": "1", "HF_HOME": str(models_dir / "home")}
    done = subprocess.run(
        [sys.executable, "-W", "ignore", "-c", code, str(models_dir), repo, revision or ""],
        env={**os.environ, **ours, **environment},
        capture_output=True,
        text=True,
        check=False,
    )
    assert done.returncode == 0, done.stderr
    result: dict[str, object] = json.loads(done.stdout)
    return result


# ── from a folder ───────────────────────────────────────────────────────────────────────────────────────────────────


def test_nothing_is_installed_at_first(tmp_path: Path) -> None:
    assert installed(tmp_path) == []
    assert default_generator(tmp_path) is None


def test_a_folder_is_copied_without_code_and_pickles(local: Path, tmp_path: Path) -> None:
    seen: list[tuple[int, int]] = []
    model = pull(str(local), models_dir=tmp_path / "models", progress=lambda done, total: seen.append((done, total)))
    names = {file.name for file in model.folder.iterdir()}
    assert names == {"model.safetensors", "config.json", "tokenizer.json", "chat_template.jinja", MANIFEST}
    assert (model.repo, len(model.revision)) == ("local/my-model", 40)
    assert seen == sorted(seen)
    assert seen[-1] == (model.size_bytes, model.size_bytes)
    assert installed(tmp_path / "models") == [model]
    assert default_generator(tmp_path / "models") == model.folder
    verify(model)


def test_a_folder_pulled_again_replaces_the_first(local: Path, tmp_path: Path) -> None:
    first = pull(str(local), models_dir=tmp_path / "models")
    (local / "tokenizer.json").unlink()
    second = pull(str(local), models_dir=tmp_path / "models")
    assert second.revision != first.revision
    assert not (second.folder / "tokenizer.json").exists()
    assert installed(tmp_path / "models") == [second]


@pytest.mark.parametrize("file", ["model.safetensors", "config.json"])
def test_a_folder_that_is_no_model_is_refused(file: str, local: Path, tmp_path: Path) -> None:
    (local / file).unlink()
    with pytest.raises(ModelNotReady, match=r"safetensors|config\.json"):
        pull(str(local), models_dir=tmp_path / "models")
    assert installed(tmp_path / "models") == []


def test_damage_is_found(local: Path, tmp_path: Path) -> None:
    model = pull(str(local), models_dir=tmp_path)
    weights = model.folder / "model.safetensors"
    content = bytearray(weights.read_bytes())
    content[-1] ^= 1
    weights.write_bytes(content)
    with pytest.raises(ModelNotReady, match=r"model\.safetensors is damaged.*pull local/my-model again"):
        verify(model)
    weights.write_bytes(content[:-1])
    assert installed(tmp_path) == []  # cut short: not installed


@pytest.mark.parametrize("damage", ["", "{", "[]", '{"files": {"../../etc": 3}}'])
def test_a_manifest_that_cannot_be_read_means_not_installed(damage: str, local: Path, tmp_path: Path) -> None:
    model = pull(str(local), models_dir=tmp_path)
    (model.folder / MANIFEST).write_text(damage)
    assert installed(tmp_path) == []


def test_the_recommended_model_answers_before_a_later_one(local: Path, tmp_path: Path) -> None:
    later = pull(str(local), models_dir=tmp_path)
    earlier = pull(str(local.rename(local.with_name("other"))), models_dir=tmp_path)
    for model, repo, moment in ((later, "a/later", "2026-02"), (earlier, RECOMMENDED.repo, "2026-01")):
        value = json.loads((model.folder / MANIFEST).read_text())
        (model.folder / MANIFEST).write_text(json.dumps({**value, "repo": repo, "pulled_at": moment}))
    assert default_generator(tmp_path) == earlier.folder
    (earlier.folder / MANIFEST).unlink()
    assert default_generator(tmp_path) == later.folder


@pytest.mark.parametrize("repo", ["nonsense", "a/b/c", "./nowhere", "../x", "/x", "a/", "a/.."])
def test_a_name_that_is_none_is_refused(repo: str, tmp_path: Path) -> None:
    with pytest.raises(WrongSetting, match="owner/name"):
        pull(repo, models_dir=tmp_path)


# ── from a hub ──────────────────────────────────────────────────────────────────────────────────────────────────────


def test_a_download_is_whole_and_pinned(hub: Hub, tmp_path: Path) -> None:
    models = tmp_path / "models"
    result = pull_in_child(models, REPO, None, HF_ENDPOINT=hub.url)
    assert (result.get("repo"), result.get("revision")) == (REPO, COMMIT), result
    (model,) = installed(models)
    verify(model)
    names = {file.name for file in model.folder.iterdir()}
    assert names == {"model.safetensors", "config.json", "tokenizer.json", "chat_template.jinja", MANIFEST}
    assert sorted(hub.sent) == sorted(names - {MANIFEST})
    seen = result["seen"]
    assert isinstance(seen, list)
    assert seen == sorted(seen)
    assert seen[-1] == [model.size_bytes, model.size_bytes]
    again = pull(REPO, COMMIT, models_dir=models)  # installed at that commit: nothing is asked
    assert again == model


def test_an_interrupted_download_goes_on(hub: Hub, tmp_path: Path) -> None:
    hub.broken = {"tokenizer.json"}
    result = pull_in_child(tmp_path, REPO, COMMIT, HF_ENDPOINT=hub.url)
    assert (result["kind"], installed(tmp_path)) == ("ModelNotReady", [])
    assert "model.safetensors" in hub.sent
    hub.broken = set()
    assert pull_in_child(tmp_path, REPO, COMMIT, HF_ENDPOINT=hub.url).get("revision") == COMMIT
    assert sorted(hub.sent) == sorted(set(hub.sent))  # nothing twice
    verify(installed(tmp_path)[0])


def test_a_file_other_than_announced_is_refused(hub: Hub, tmp_path: Path) -> None:
    hub.announced["model.safetensors"] = "0" * 64
    result = pull_in_child(tmp_path, REPO, COMMIT, HF_ENDPOINT=hub.url)
    assert "model.safetensors of owner/tiny arrived damaged" in str(result["error"])
    assert installed(tmp_path) == []


@pytest.mark.parametrize(
    ("repo", "revision", "said"),
    [("owner/other", None, "the hub has no public model owner/other"), (REPO, "f" * 40, "no revision ffff")],
)
def test_what_the_hub_does_not_have_is_said(
    repo: str, revision: str | None, said: str, hub: Hub, tmp_path: Path
) -> None:
    result = pull_in_child(tmp_path, repo, revision, HF_ENDPOINT=hub.url)
    assert result["kind"] == "ModelNotReady"
    assert said in str(result["error"])


@pytest.mark.parametrize("environment", [{"HF_ENDPOINT": "http://127.0.0.1:9"}, {"HF_HUB_OFFLINE": "1"}])
def test_a_hub_that_cannot_be_reached_is_said(environment: dict[str, str], tmp_path: Path) -> None:
    result = pull_in_child(tmp_path, RECOMMENDED.repo, None, **environment)
    assert result["kind"] == "ModelNotReady"
    assert f"{RECOMMENDED.repo} could not be downloaded" in str(result["error"])
    assert "pull the path of its folder" in str(result["error"])
    assert installed(tmp_path) == []
