"""Runs every command of the README and puts its real output under it.

Run: python docs/refresh.py, in a virtual environment with the project installed. Each ```console block is replayed, in
order, in one scratch folder that holds a copy of docs/; lines that begin with `$ ` are commands, the rest is their
output, replaced by what they print now. `@last` stands for the newest interaction's id.
"""

import json
import os
import re
import shutil
import subprocess
import sys
import tempfile
import time
import urllib.request
from pathlib import Path

ROOT = Path(__file__).resolve().parents[1]
BLOCK = re.compile(r"```console\n(.*?)```", re.S)
LINES = 40  # of one command's output that are shown
WIDTH = 200


def main() -> None:
    readme = ROOT / "README.md"
    text = readme.read_text()
    with tempfile.TemporaryDirectory() as scratch:
        folder = Path(scratch) / "rag"
        shutil.copytree(ROOT / "docs", folder / "docs", ignore=shutil.ignore_patterns("__pycache__"))
        replay = Replay(folder)
        try:
            text = BLOCK.sub(lambda block: replay.block(block[1]), text)
        finally:
            replay.close()
    readme.write_text(text)


class Replay:
    """A shell in a folder; servers started with `&` run until it is closed."""

    def __init__(self, folder: Path) -> None:
        self._folder = folder
        self._servers: list[subprocess.Popen[bytes]] = []
        self._environment = {
            **{name: value for name, value in os.environ.items() if not name.startswith("RAG_")},
            "PATH": f"{Path(sys.executable).parent}:{os.environ['PATH']}",
            "COLUMNS": "110",
            "HOME": str(folder.parent),  # where models are kept: nobody's own folder appears in the output
        }

    def block(self, body: str) -> str:
        commands = [line[2:] for line in body.splitlines() if line.startswith("$ ")]
        return "```console\n" + "".join(self.command(command) for command in commands) + "```"

    def command(self, command: str) -> str:
        if command.startswith("make "):
            return f"$ {command}\n"
        if command.endswith("&"):
            self._serve(command[:-1])
            return f"$ {command}\n"
        done = subprocess.run(
            ["bash", "-c", command.replace("@last", self._last() if "@last" in command else "")],
            cwd=self._folder, env=self._environment, capture_output=True, text=True, check=False,
        )  # fmt: skip
        print(f"[{done.returncode}] {command}", file=sys.stderr)
        said = (done.stdout or done.stderr).replace(str(self._folder.parent), "/home/you").rstrip("\n").splitlines()
        shown = [line if len(line) <= WIDTH else line[:WIDTH] + " …" for line in said[:LINES]]
        if len(said) > LINES:
            shown.append("…")
        return "\n".join([f"$ {command}", *shown]) + "\n"

    def _last(self) -> str:
        listed = subprocess.run(
            ["rag", "logs", "-n", "1", "--json"],
            cwd=self._folder, env=self._environment, capture_output=True, text=True, check=True,
        )  # fmt: skip
        return str(json.loads(listed.stdout)["interactions"][0]["interaction_id"])

    def _serve(self, command: str) -> None:
        server = subprocess.Popen(
            command.split(),
            cwd=self._folder,
            env=self._environment,
            stdout=subprocess.DEVNULL,
            stderr=subprocess.DEVNULL,
        )
        self._servers.append(server)
        for _ in range(300):
            try:
                urllib.request.urlopen("http://127.0.0.1:8000/api/health", timeout=2)
                return
            except OSError:
                time.sleep(0.1)
        raise SystemExit("the server did not start")

    def close(self) -> None:
        for server in self._servers:
            server.terminate()
            server.wait(30)


if __name__ == "__main__":
    main()
