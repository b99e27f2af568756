"""The log: one row a question, with the evidence that led to its answer, its scores and what people said of it."""

from rag.store.log.facts import conditions
from rag.store.log.marks import Links, Marks, links, marks
from rag.store.log.pages import MOST, count, counted, page
from rag.store.log.query import Query, ScoreRange, query_json, query_value, score_ranges
from rag.store.log.reading import Feedback, feedback_of, get, lines, listing, standing, whole
from rag.store.log.search import Count
from rag.store.log.writing import add_feedback, add_scores, record

__all__ = [
    "MOST",
    "Count",
    "Feedback",
    "Links",
    "Marks",
    "Query",
    "ScoreRange",
    "add_feedback",
    "add_scores",
    "conditions",
    "count",
    "counted",
    "feedback_of",
    "get",
    "lines",
    "links",
    "listing",
    "marks",
    "page",
    "query_json",
    "query_value",
    "record",
    "score_ranges",
    "standing",
    "whole",
]
