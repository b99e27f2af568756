"""Samples of records with a stated mapping: a database's row, and files of records."""

from ingest import mapping, sources
from ingest.mapping import RecordMapping
from tests.samples.sample import Sample

BY = RecordMapping.of("nr", "{what}\n\nThey {does}.\n\nBuilt in {place}.", "{what}")
RECORD = {
    "nr": 7,
    "what": "Tidal turbines",
    "does": "harvest the moon",
    "place": "Nørrebro",
    "price": 19.9,
    "sold": None,
}
TABLE = "nr;what;does;place\r\n7;Tidal turbines;harvest the moon;Nørrebro\r\n8;Hubs;turn;Århus\r\n"


def row() -> bytes:
    return mapping.row("sql:parts", "parts", BY.document(RECORD)).content


def table() -> bytes:
    return mapping.mapped(sources.from_upload("parts.csv", TABLE.encode()), BY).content


SAMPLES = {
    "record": [
        Sample("sea.row", row(), "Tidal turbines", media_type=mapping.RECORD),
        Sample("sea.rows", table(), "Tidal turbines", documents=2, media_type=mapping.MAPPED),
    ]
}
