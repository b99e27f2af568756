"""The wheel: built from the checkout and installed beside the dependencies only, it migrates, ingests, asks, logs."""

import os
import subprocess
import sys
import venv
import zipfile
from pathlib import Path

import pytest

from rag.store import database as database_store

ROOT = Path(__file__).resolve().parents[1]


@pytest.fixture(scope="module")
def wheel(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("wheel")
    subprocess.run(
        [sys.executable, "-m", "build", "--wheel", "--no-isolation", "--outdir", str(folder), str(ROOT)],
        check=True,
        capture_output=True,
    )
    return next(folder.glob("*.whl"))


def test_it_holds_what_runs_and_nothing_else(wheel: Path) -> None:
    names = zipfile.ZipFile(wheel).namelist()
    tops = {name.split("/")[0] for name in names}
    assert {top for top in tops if not top.endswith(".dist-info")} == {"rag", "ingest"}
    assert any(name.startswith(f"rag/migrations/versions/{database_store.HEAD}_") for name in names)
    assert "rag/docs/how-it-works.md" in names
    assert "rag/docs/README.md" in names
    assert "rag/templates/answer.j2" in names
    for kind in ("templates", "static"):
        there = {f"rag/api/pages/{kind}/{path.name}" for path in (ROOT / "rag" / "api" / "pages" / kind).iterdir()}
        assert there <= set(names), "a page lacks what it is made of"
    assert not [name for name in names if name.endswith((".pyc", ".db"))]


def test_it_runs_the_demo_in_an_environment_of_its_own(wheel: Path, tmp_path: Path, models_dir: Path) -> None:
    """The new environment sees this one's packages except the checkout: the wheel must bring all that is ours."""
    venv.create(tmp_path / "venv")
    python = tmp_path / "venv" / "bin" / "python"
    install = [sys.executable, "-m", "pip", "--python", str(python), "install", "--quiet", "--no-deps", str(wheel)]
    subprocess.run(install, check=True, capture_output=True)
    site = next((tmp_path / "venv" / "lib").glob("python*/site-packages"))
    dependencies = tmp_path / "dependencies"
    dependencies.mkdir()
    for entry in _site_packages().iterdir():
        if not entry.name.startswith(("rag", "_rag", "__editable__", "_editable")):
            (dependencies / entry.name).symlink_to(entry)
    (site / "dependencies.pth").write_text(f"{dependencies}\n")
    environment = {name: value for name, value in os.environ.items() if not name.startswith(("RAG_", "PYTHON"))}
    done = subprocess.run(
        [tmp_path / "venv" / "bin" / "rag", "--data", "data", "demo"],
        cwd=tmp_path,
        env={**environment, "RAG_MODELS": str(models_dir)},
        capture_output=True,
        text=True,
        check=False,
    )
    assert done.returncode == 0, done.stderr
    assert done.stdout.count("Sources") == 3, "three answers with their citations"
    assert "supported" in done.stdout
    assert "The log" in done.stdout
    where = subprocess.run(
        [python, "-c", "import rag, ingest; print(rag.__file__, ingest.__file__)"],
        cwd=tmp_path, capture_output=True, text=True, check=True,
    )  # fmt: skip
    assert all(str(site) in path for path in where.stdout.split())


def _site_packages() -> Path:
    import numpy

    return Path(numpy.__file__).parents[1]
