"""Datasets: GET the list and a version, POST a new one of the log or of documents, download an export, compare two."""

import tempfile
import zipfile
from dataclasses import replace
from pathlib import Path as FilePath
from typing import Annotated, Any, Literal

from fastapi import APIRouter, Path, Query, Response

from rag.api.answers import Json, documented
from rag.api.models import MAX_ID
from rag.api.models.datasets import (
    DatasetComparison,
    DatasetMade,
    DatasetRequest,
    Datasets,
    DatasetVersion,
    Split,
    SynthesisRequest,
)
from rag.api.models.jobs import Job
from rag.api.requests import Asker, StrictRoute, TheHouse
from rag.errors import NotPermitted
from rag.exports import beir, export, making
from rag.exports.collect import Wanted
from rag.exports.splits import Shares
from rag.jobs import ask_synthesis
from rag.scrubbing import kinds
from rag.shapes.datasets import change_json, record_json, version_json
from rag.shapes.jobs import job_json
from rag.store import datasets as dataset_store
from rag.store.datasets import SPLITS
from rag.store.interactions import query_value
from rag.types import Principal

router = APIRouter(tags=["datasets"], route_class=StrictRoute)

Named = Annotated[str, Path(min_length=1, max_length=120, description="NAME, the newest version, or NAME@NUMBER")]
Form = Literal["beir", "csv", "kto", "parquet", "preference", "ragas", "sft", "triplets"]
WRITTEN = (1980, 1, 1, 0, 0, 0)  # the time of files in an archive: the same version gives the same bytes
ZIP: dict[int | str, dict[str, Any]] = {
    200: {"content": {"application/zip": {"schema": {"type": "string", "format": "binary"}}}}
}


@router.get("/api/datasets", response_model=Datasets, responses=documented(403, 422))
def listing(
    house: TheHouse,
    principal: Asker,
    limit: Annotated[int, Query(ge=1, le=1000)] = 100,
    cursor: Annotated[int | None, Query(ge=1, le=MAX_ID, description="`next` of the page before")] = None,
) -> Json:
    """The datasets, each with its newest version, the youngest first. Not for tokens bound to labels."""
    check(principal)
    with house.app.database.read() as connection:
        rows = dataset_store.listing(connection, principal.tenant_id, limit=limit + 1, before=cursor)
    page = rows[:limit]
    after = page[-1].id if len(rows) > limit else None
    return Json({"datasets": [version_json(version) for version in page], "next": after})


@router.post(
    "/api/datasets", status_code=201, response_model=DatasetMade, responses=documented(400, 403, 404, 409, 422)
)
def make(asked: DatasetRequest, house: TheHouse, principal: Asker, response: Response) -> Json:
    """Make a version from logged answers and what people said of them. Where the newest holds the same already, that
    one is given and `new` is false. Not for tokens bound to labels."""
    check(principal)
    query = query_value(asked.query)
    query = replace(query, collection=query.collection or house.app.settings.collection)
    assert query.collection is not None
    shares = Shares.of(asked.shares.train, asked.shares.validation, asked.shares.test)
    wanted = Wanted(
        query, asked.which, tuple(dict.fromkeys(asked.origins)), shares, kinds(asked.scrub) if asked.scrub else ()
    )
    made = making.make(house.app.database, principal.tenant_id, asked.name, wanted, query.collection, principal.user)
    return Json(version_json(made.version) | {"new": made.new}, status_code=201)


@router.post(
    "/api/datasets/{name}/synthesize",
    status_code=202,
    response_model=Job,
    responses=documented(400, 403, 404, 413, 422),
)
def synthesize(
    name: Annotated[str, Path(min_length=1, max_length=100, description="the dataset's name")],
    asked: SynthesisRequest,
    house: TheHouse,
    principal: Asker,
) -> Json:
    """Make a version of questions that nobody asked from the documents of a collection, marked synthetic: a background
    job, whose result names it. Not for tokens bound to labels."""
    check(principal)
    shares = Shares.of(asked.shares.train, asked.shares.validation, asked.shares.test)
    collection = house.collection(principal, asked.collection).name
    with house.app.database.write() as connection:
        job = ask_synthesis(
            connection,
            principal,
            collection,
            name,
            questions=asked.questions,
            by=asked.by,
            shares=(shares.train, shares.validation, shares.test),
        )
    return Json(job_json(job), status_code=202, headers={"location": f"/api/jobs/{job.id}"})


@router.get("/api/datasets/{name}", response_model=DatasetVersion, responses=documented(400, 403, 404, 422))
def one(
    name: Named,
    house: TheHouse,
    principal: Asker,
    split: Annotated[Split | None, Query()] = None,
    limit: Annotated[int, Query(ge=0, le=1000)] = 100,
    cursor: Annotated[int, Query(ge=0, le=MAX_ID, description="`next` of the page before")] = 0,
) -> Json:
    """A version with its card and its records, in its order. Not for tokens bound to labels."""
    check(principal)
    splits = SPLITS if split is None else (split,)
    version, records = making.read(house.app.database, principal.tenant_id, name, splits)
    page = records[cursor : cursor + limit]
    after = cursor + limit if cursor + limit < len(records) else None
    return Json(version_json(version) | {"records": [record_json(record) for record in page], "next": after})


@router.get(
    "/api/datasets/{name}/export",
    response_class=Response,
    responses=ZIP | documented(400, 403, 404, 422, 503),
)
def exported(
    name: Named,
    house: TheHouse,
    principal: Asker,
    form: Annotated[Form, Query(alias="format")],
    split: Annotated[list[Split] | None, Query(max_length=3, description="may be repeated; all without it")] = None,
    corpus: Annotated[Literal["all", "shown"], Query(description="for beir: all documents, or those shown")] = "all",
) -> Response:
    """A version in the form that another program reads, with its card: a zip archive, the same bytes for the same
    version. Not for tokens bound to labels."""
    check(principal)
    database, tenant_id = house.app.database, principal.tenant_id
    version, records = making.read(
        database, tenant_id, name, tuple(each for each in SPLITS if not split or each in split)
    )
    documents = making.corpus(database, tenant_id, version.collection) if corpus == "all" else beir.shown(records)
    with tempfile.TemporaryDirectory(prefix="rag-export-") as folder:
        inside, archive = FilePath(folder) / "export", FilePath(folder) / "export.zip"
        export(inside, version, records, form, documents)
        with zipfile.ZipFile(archive, "w", zipfile.ZIP_DEFLATED) as packed:
            for path in sorted(inside.rglob("*")):
                if path.is_file():
                    entry = zipfile.ZipInfo(path.relative_to(inside).as_posix(), WRITTEN)
                    entry.compress_type = zipfile.ZIP_DEFLATED
                    packed.writestr(entry, path.read_bytes())
        content = archive.read_bytes()
    file = f'attachment; filename="dataset-{version.id}-{form}.zip"'
    return Response(content, media_type="application/zip", headers={"content-disposition": file})


@router.get(
    "/api/datasets/{name}/comparison", response_model=DatasetComparison, responses=documented(400, 403, 404, 422)
)
def comparison(
    name: Named,
    against: Annotated[str, Query(min_length=1, max_length=120, description="the earlier NAME or NAME@NUMBER")],
    house: TheHouse,
    principal: Asker,
) -> Json:
    """How a version differs from an earlier one. Not for tokens bound to labels."""
    check(principal)
    return Json(change_json(*making.compare(house.app.database, principal.tenant_id, against, name)))


@router.delete("/api/datasets/{name}", status_code=204, responses=documented(400, 403, 404, 422))
def remove(name: Named, house: TheHouse, principal: Asker) -> None:
    """Forget a version (NAME@NUMBER), or a dataset with all of them (NAME). Not for tokens bound to labels."""
    check(principal)
    with house.app.database.write() as connection:
        dataset_store.remove(connection, principal.tenant_id, name, user=principal.user)


def check(principal: Principal) -> None:
    """Raise NotPermitted for a token that is bound to labels: a dataset holds texts whatever their labels."""
    if principal.labels is not None:
        raise NotPermitted("this token is bound to labels; datasets are seen by one that is not")
