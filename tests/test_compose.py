"""The container files: docker's own check where a client with compose is at hand, and what must hold in any case."""

import os
import shutil
import subprocess
from pathlib import Path
from typing import Any

import pytest
import yaml

from rag.config import options

ROOT = Path(__file__).resolve().parents[1]


@pytest.fixture(scope="module")
def compose() -> dict[str, Any]:
    return dict(yaml.safe_load((ROOT / "docker-compose.yml").read_text(encoding="utf-8")))


def test_docker_compose_accepts_the_file() -> None:
    docker = shutil.which("docker")
    if docker is None or subprocess.run([docker, "compose", "version"], capture_output=True).returncode:
        pytest.skip("no docker client with the compose plugin")
    command = [docker, "compose", "--file", str(ROOT / "docker-compose.yml"), "config", "--quiet"]
    given = subprocess.run(command, env={**os.environ, "POSTGRES_PASSWORD": "x"}, capture_output=True, text=True)
    assert given.returncode == 0, given.stderr
    without = {name: value for name, value in os.environ.items() if name != "POSTGRES_PASSWORD"}
    missing = subprocess.run(command, env=without, capture_output=True, text=True, cwd="/")
    assert missing.returncode != 0
    assert "POSTGRES_PASSWORD" in missing.stderr


def test_the_services_wait_for_each_other_and_are_watched(compose: dict[str, Any]) -> None:
    services = compose["services"]
    assert set(services) == {"postgres", "migrate", "api", "worker"}
    for name in ("api", "worker"):
        assert services[name]["depends_on"] == {
            "postgres": {"condition": "service_healthy"},
            "migrate": {"condition": "service_completed_successfully"},
        }
    assert services["postgres"]["image"].startswith("pgvector/pgvector:")
    assert services["postgres"]["healthcheck"]["test"][1] == "pg_isready"
    assert "/api/health" in services["api"]["healthcheck"]["test"][-1]
    volumes = [volume.split(":")[0] for service in services.values() for volume in service["volumes"]]
    assert set(volumes) == set(compose["volumes"])


def test_the_worker_does_the_jobs_and_shares_what_the_api_has(compose: dict[str, Any]) -> None:
    api, worker = compose["services"]["api"], compose["services"]["worker"]
    assert worker["command"] == ["worker"]
    assert api["environment"]["RAG_JOB_WORKERS"] == 0, "the API leaves them to it"
    for shared in ("environment", "volumes", "read_only", "cap_drop", "security_opt", "image"):
        assert worker[shared] == api[shared]
    assert "ports" not in worker


def test_no_secret_stands_in_the_file(compose: dict[str, Any]) -> None:
    for service in compose["services"].values():
        for name, value in service["environment"].items():
            if "PASSWORD" in name or "DATABASE" in name:
                assert "${POSTGRES_PASSWORD" in value
    assert ":?" in compose["services"]["postgres"]["environment"]["POSTGRES_PASSWORD"]


def test_only_this_machine_reaches_the_published_port(compose: dict[str, Any]) -> None:
    assert [port.split(":")[0] for port in compose["services"]["api"]["ports"]] == ["127.0.0.1"]
    assert "ports" not in compose["services"]["postgres"]


def test_every_rag_variable_is_a_setting(compose: dict[str, Any]) -> None:
    known = {f"RAG_{option.name.upper()}" for option in options()}
    lines = (ROOT / "Dockerfile").read_text(encoding="utf-8").replace("\\\n", " ").split()
    used = {word.split("=")[0] for word in lines if word.startswith("RAG_")}
    used |= {name for service in compose["services"].values() for name in service["environment"]}
    assert {name for name in used if name.startswith("RAG_")} <= known
    assert {"RAG_DATA", "RAG_HOST", "RAG_DATABASE"} <= used


def test_the_image_runs_without_root_and_is_watched() -> None:
    lines = (ROOT / "Dockerfile").read_text(encoding="utf-8").splitlines()
    froms = [line for line in lines if line.startswith("FROM ")]
    assert [line.split()[1] for line in froms] == ["python:3.12-slim", "python:3.12-slim"]
    last = lines[lines.index(froms[-1]) :]
    assert "USER rag" in last
    assert any(line.startswith("HEALTHCHECK") for line in last)
    assert 'ENTRYPOINT ["rag"]' in last


def test_the_image_is_built_from_nothing_but_what_it_needs() -> None:
    """What the Dockerfile copies is what .dockerignore lets through."""
    ignore = (ROOT / ".dockerignore").read_text(encoding="utf-8").splitlines()
    allowed = {line[1:] for line in ignore if line.startswith("!")}
    copied = set[str]()
    for line in (ROOT / "Dockerfile").read_text(encoding="utf-8").splitlines():
        if line.startswith("COPY ") and "--from" not in line:
            copied.update(line.split()[1:-1])
    assert copied == allowed
    assert all((ROOT / name).exists() for name in copied)
