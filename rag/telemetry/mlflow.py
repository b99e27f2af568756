"""A run over judged queries as a run of MLflow: parameters, metrics with their intervals, rankings as artefacts."""

import json
import re
from collections.abc import Iterable, Mapping, Sequence
from typing import TYPE_CHECKING

from rag.errors import NotReady, RagError

if TYPE_CHECKING:
    from mlflow.tracking import MlflowClient

MOST = 100  # parameters, or metrics, of one call; MLflow takes no more
LONGEST = 500  # characters of a parameter's value
_NAME = re.compile(r"[^\w\-./ ]")


def require() -> None:
    """Raise NotReady, with the remedy, unless MLflow is installed."""
    try:
        import mlflow.tracking  # noqa: F401
    except ImportError as error:
        raise NotReady(f"--mlflow needs MLflow ({error.name} is missing): pip install 'rag[mlflow]'") from error


def log(
    uri: str,
    *,
    experiment: str,
    name: str,
    parameters: Mapping[str, object],
    metrics: Mapping[str, float],
    tags: Mapping[str, str],
    files: Iterable[tuple[str, Sequence[str]]],
) -> str:
    """Log one run and give its id. `uri` is where MLflow keeps runs, "" as MLFLOW_TRACKING_URI says, else its default;
    `files` are names with their lines. Raises NotReady where MLflow is missing, RagError where it refuses."""
    require()
    from mlflow.entities import Metric, Param, RunTag
    from mlflow.exceptions import MlflowException
    from mlflow.tracking import MlflowClient
    from mlflow.utils.time import get_current_time_millis

    try:
        client = MlflowClient(tracking_uri=uri or None)
        run = client.create_run(_experiment(client, experiment), run_name=name)
        key, at = str(run.info.run_id), get_current_time_millis()
        given = [Param(_named(one), _value(value)) for one, value in parameters.items()]
        measured = [Metric(_named(one), value, at, 0) for one, value in metrics.items()]
        for begin in range(0, max(len(given), len(measured)), MOST):
            client.log_batch(key, metrics=measured[begin : begin + MOST], params=given[begin : begin + MOST])
        client.log_batch(key, tags=[RunTag(one, value) for one, value in tags.items()])
        for file, lines in files:
            client.log_text(key, "\n".join(lines) + "\n", file)
        client.set_terminated(key)
    except (MlflowException, OSError) as error:
        raise RagError(f"MLflow did not take the run ({uri or 'its default place'}): {error}") from error
    return key


def _experiment(client: "MlflowClient", name: str) -> str:
    found = client.get_experiment_by_name(name)
    return str(client.create_experiment(name) if found is None else found.experiment_id)


def _named(name: str) -> str:
    return _NAME.sub("_", name)


def _value(value: object) -> str:
    text = value if isinstance(value, str) else json.dumps(value, ensure_ascii=False)
    return text[:LONGEST]
