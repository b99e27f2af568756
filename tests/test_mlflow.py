"""`rag eval --mlflow`: a run of ours as a run of MLflow. Skipped by name where MLflow is absent, but for the remedy."""

import sys
import warnings
from pathlib import Path
from types import ModuleType

import pytest

from rag.errors import NotReady
from rag.telemetry import mlflow as ours
from tests.cli_house import build
from tests.test_evaluate import write


@pytest.fixture
def mlflow(monkeypatch: pytest.MonkeyPatch) -> ModuleType:
    """MLflow, or a skip that names it."""
    monkeypatch.setenv("MLFLOW_ALLOW_FILE_STORE", "true")
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")  # theirs
        return pytest.importorskip(
            "mlflow.tracking", reason="MLflow absent: pip install '.[mlflow]'", exc_type=ImportError
        )


@pytest.mark.filterwarnings("ignore::FutureWarning", "ignore::DeprecationWarning", "ignore::UserWarning")
def test_a_run_is_logged_whole(mlflow: ModuleType, tmp_path: Path) -> None:
    house = build(tmp_path / "house", {})
    folder, uri = write(house.folder / "beir"), (tmp_path / "mlruns").as_uri()
    done = house("eval", str(folder), "--mlflow", uri, "--answers", "--name", "mine")
    assert done.code == 0, done.err
    client = mlflow.MlflowClient(tracking_uri=uri)
    experiment = client.get_experiment_by_name("beir")
    (run,) = client.search_runs([experiment.experiment_id])
    kept = house("eval", "show", "mine", "--json").json
    assert run.info.run_name == "mine"
    assert run.info.status == "FINISHED"
    assert run.data.params["mode"] == "hybrid"
    assert run.data.params["depth"] == "100"
    assert run.data.metrics["ndcg_cut_10"] == pytest.approx(kept["metrics"]["ndcg_cut_10"], abs=1e-6)  # type: ignore[index]
    assert run.data.metrics["ndcg_cut_10.low"] <= run.data.metrics["ndcg_cut_10"]
    assert any(name.startswith("answers.") for name in run.data.metrics)
    assert run.data.tags["rag.run_id"] == str(kept["run_id"])
    assert {each.path for each in client.list_artifacts(run.info.run_id)} == {"run.trec", "queries.jsonl"}


def test_without_it_the_remedy_is_told_before_the_work(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    monkeypatch.setitem(sys.modules, "mlflow", None)
    monkeypatch.setitem(sys.modules, "mlflow.tracking", None)
    with pytest.raises(NotReady, match=r"pip install 'rag\[mlflow\]'"):
        ours.require()
    house = build(tmp_path, {})
    folder = write(house.folder / "beir")
    done = house("eval", str(folder), "--mlflow")
    assert (done.code, "rag[mlflow]" in done.err) == (1, True)
    assert not house.data.exists()
