"""Machine output, once: what the command line prints with --json is what the API answers with.

Fields may be added here, never renamed, changed or removed; golden tests keep them. Every function gives JSON values
only (no NaN, no infinity), so that `json.dumps(…, allow_nan=False)` cannot fail on them.
"""

import json
import math
import re
from collections.abc import Iterable, Mapping, Sequence
from typing import TYPE_CHECKING, get_args

from rag.errors import RagError
from rag.types import Citation, FileState, Hit, Interaction, Outcome, Part, Passage, Place, Prompt, Score, Usage

if TYPE_CHECKING:
    from rag.corpus import Report
    from rag.runs import Comparison
    from rag.search import Found
    from rag.stages import Stage
    from rag.store.collections import Collection, CollectionCounts
    from rag.store.decisions import StoredDecision, Tally
    from rag.store.documents import StoredChunk, StoredDocument
    from rag.store.evaluations import Evaluation, JudgedQuery
    from rag.store.interactions import Feedback
    from rag.store.jobs import Item, Job
    from rag.store.syncs import StoredSync
    from rag.store.writing import Written
    from rag.sync import Difference
    from rag.why import Why

Json = dict[str, object]

PROBLEM = "urn:problem-type:rag:"  # and the error's name in kebab-case: urn:problem-type:rag:not-found


# ── search and ask ──────────────────────────────────────────────────────────────────────────────────────────────────


def search_json(found: "Found", query: str, mode: str, k: int) -> Json:
    """What a search found, best first."""
    return {
        "query": query,
        "mode": mode,
        "k": k,
        "hits": [hit_json(passage, rank) for rank, passage in enumerate(found.passages, 1)],
        "position": found.position,
        "generation": found.generation,
        "timings_ms": timings_json(found.timings_ms),
        "stages": [stage_json(stage) for stage in found.stages],
        "collapsed": [
            {"chunk_id": shown, "duplicates": list(others)} for shown, others in sorted(found.collapsed.items())
        ],
        "corrected": [{"word": word, "taken_for": list(others)} for word, others in found.corrected.items()],
    }


def stage_json(stage: "Stage") -> Json:
    """What one stage of a search was given, kept, and took."""
    return {
        "stage": stage.name,
        "given": stage.given,
        "kept": stage.kept,
        "dropped": stage.given - stage.kept,
        "ms": round(stage.ms, 3),
    }


def why_json(answer: "Why", query: str, mode: str, k: int) -> Json:
    """What became of a document in a search; `stage` is the one that lost it, or found."""
    other = answer.stands_for_it
    return {
        "query": query,
        "mode": mode,
        "k": k,
        "document": {
            "document_id": answer.document_id,
            "uri": answer.uri,
            "external_id": answer.external_id,
            "title": answer.title,
        },
        "stage": answer.stage,
        "explanation": answer.explanation,
        "rank": answer.rank,
        "chunk_id": answer.chunk_id,
        "start": answer.start,
        "end": answer.end,
        "stands_for_it": None
        if other is None
        else {
            "document_id": other.document_id,
            "uri": other.uri,
            "level": other.level,
            "policy": other.policy,
            "similarity": other.similarity,
        },
        "conditions": [json.loads(each.canonical) for each in answer.conditions],
        "arms": [
            {
                "stage": arm.arm,
                "rank": arm.rank,
                "score": number(arm.score),
                "among": arm.among,
                "depth": arm.depth,
            }
            for arm in answer.arms
        ],
        "parts": parts_json(answer.parts),
        "stages": [stage_json(stage) for stage in answer.stages],
    }


def ask_json(interaction: Interaction) -> Json:
    """An answer with its evidence. `answer` is null when none was given, as for a generator that failed."""
    answer = interaction.answer
    return {
        "interaction_id": interaction.id,
        "question": interaction.question,
        "answer": None if answer is None else answer.text,
        "abstained": None if answer is None else answer.abstained,
        "generator": interaction.model if answer is None else answer.generator,
        "citations": citations_json(interaction),
        "passages": passages_json(interaction.passages),
        "scores": scores_json(interaction.scores),
        "model": interaction.model,
        "revision": interaction.revision,
        "usage": usage_json(None if answer is None else answer.usage),
        "finish_reason": None if answer is None else answer.finish_reason,
        "timings_ms": timings_json(interaction.timings_ms),
        "collection": interaction.collection,
        "conversation_id": interaction.conversation_id,
        "created_at": interaction.created_at,
    }


def hit_json(passage: Passage, rank: int) -> Json:
    """One hit: the text, where it stands in its first place's document, and every place that holds it."""
    first = passage.places[0]
    return {
        "rank": rank,
        "chunk_id": passage.hit.chunk_id,
        "document_id": first.document_id,
        "external_id": first.external_id,
        "uri": first.uri,
        "title": passage.title,
        "text": passage.text,
        "start": passage.start,
        "end": passage.end,
        "score": number(passage.hit.score),
        "parts": parts_json(passage.hit.parts),
        "headings": list(passage.headings),
        "page": passage.page,
        "places": [place_json(place) for place in passage.places],
    }


def passages_json(passages: Iterable[Passage]) -> list[Json]:
    """The passages of an answer: hits whose `rank` is the number they are cited by."""
    return [hit_json(passage, number) for number, passage in enumerate(passages, 1)]


def citations_json(interaction: Interaction) -> list[Json]:
    answer = interaction.answer
    return [] if answer is None else [citation_json(citation, interaction.passages) for citation in answer.citations]


def citation_json(citation: Citation, passages: Sequence[Passage]) -> Json:
    """A sentence of the answer and what supports it; `passage` is null, and `places` empty, when nothing does."""
    places = passages[citation.passage - 1].places if citation.passage is not None else ()
    return {
        "start": citation.start,
        "end": citation.end,
        "passage": citation.passage,
        "uri": places[0].uri if places else None,
        "places": [place_json(place) for place in places],
        "quote": citation.quote,
        "quote_start": citation.quote_start,
        "quote_end": citation.quote_end,
        "support": number(citation.support),
        "verdict": citation.verdict,
        "marked": citation.marked,
    }


def place_json(place: Place) -> Json:
    return {
        "document_id": place.document_id,
        "uri": place.uri,
        "external_id": place.external_id,
        "title": place.title,
        "metadata": dict(place.metadata),
    }


def parts_json(parts: Mapping[str, Part]) -> dict[str, Json]:
    """Rank (from 1) and score in every stage that placed the hit, in the order of the stages."""
    return {name: {"rank": part.rank, "score": number(part.score)} for name, part in parts.items()}


def scores_json(scores: Iterable[Score]) -> dict[str, float | None]:
    """Each metric's value, null where it does not apply; of several judgements by one name the last."""
    return {score.name: number(score.value) for score in scores}


def usage_json(usage: Usage | None) -> Json:
    return {
        "prompt_tokens": None if usage is None else usage.prompt_tokens,
        "completion_tokens": None if usage is None else usage.completion_tokens,
    }


def timings_json(timings_ms: Mapping[str, float]) -> dict[str, float]:
    return {stage: round(taken, 3) for stage, taken in timings_ms.items()}


def number(value: float | None) -> float | None:
    """The value as JSON can say it, six digits behind the point; null for NaN and infinity."""
    return None if value is None or not math.isfinite(value) else round(float(value), 6)


# ── the log ─────────────────────────────────────────────────────────────────────────────────────────────────────────


def interaction_json(interaction: Interaction, feedback: Iterable["Feedback"] = (), *, whole: bool) -> Json:
    """An interaction as the log shows it: a line of the list, or `whole` with everything that led to its answer."""
    answer = interaction.answer
    line: Json = {
        "interaction_id": interaction.id,
        "created_at": interaction.created_at,
        "collection": interaction.collection,
        "user": interaction.user,
        "conversation_id": interaction.conversation_id,
        "origin": interaction.origin,
        "question": interaction.question,
        "answer": None if answer is None else answer.text,
        "abstained": None if answer is None else answer.abstained,
        "finish_reason": None if answer is None else answer.finish_reason,
        "error": interaction.error,
        "generator": interaction.model if answer is None else answer.generator,
        "model": interaction.model,
        "revision": interaction.revision,
        "scores": scores_json(interaction.scores),
        "usage": usage_json(None if answer is None else answer.usage),
        "timings_ms": timings_json(interaction.timings_ms),
    }
    if not whole:
        return line
    return line | {
        "search_query": interaction.search_query,
        "template": interaction.template,
        "settings": dict(interaction.settings),
        "position": interaction.position,
        "generation": interaction.generation,
        "prompt": None if interaction.prompt is None else prompt_json(interaction.prompt),
        "citations": citations_json(interaction),
        "passages": passages_json(interaction.passages),
        "candidates": [candidate_json(hit) for hit in interaction.candidates],
        "judgements": [judgement_json(score) for score in interaction.scores],
        "feedback": [feedback_json(said) for said in feedback],
    }


def prompt_json(prompt: Prompt) -> Json:
    return {
        "messages": [{"role": message.role, "content": message.content} for message in prompt.messages],
        "template": prompt.template,
        "tokens": prompt.tokens,
    }


def candidate_json(hit: Hit) -> Json:
    return {"chunk_id": hit.chunk_id, "score": number(hit.score), "parts": parts_json(hit.parts)}


def judgement_json(score: Score) -> Json:
    return {
        "name": score.name,
        "value": number(score.value),
        "label": score.label,
        "explanation": score.explanation,
        "annotator_kind": score.annotator_kind,
        "identifier": score.identifier,
    }


def feedback_json(said: "Feedback") -> Json:
    return {
        "feedback_id": said.id,
        "user": said.user,
        "rating": said.rating,
        "label": said.label,
        "comment": said.comment,
        "created_at": said.created_at.isoformat(timespec="milliseconds"),
    }


# ── documents ───────────────────────────────────────────────────────────────────────────────────────────────────────


def document_json(document: "StoredDocument", collection: str) -> Json:
    """A document as it is listed."""
    return {
        "document_id": document.id,
        "collection": collection,
        "uri": document.uri,
        "external_id": document.external_id,
        "title": document.title,
        "media_type": document.media_type,
        "metadata": dict(document.metadata),
        "owner": document.owner,
        "labels": list(document.labels),
        "characters": document.characters,
        "created_at": document.created_at.isoformat(timespec="milliseconds"),
        "removed_at": document.removed_at and document.removed_at.isoformat(timespec="milliseconds"),
    }


def restored_json(document_id: int, written: "Written") -> Json:
    """What became of a removed document that was put back: its new id, null where a policy on duplicates holds it."""
    return {
        "removed_id": document_id,
        "document_id": written.document_id,
        "uri": written.uri,
        "state": written.kind,
        "reason": written.reason,
    }


def document_whole_json(
    document: "StoredDocument", collection: str, text: str, chunks: Iterable["StoredChunk"]
) -> Json:
    """A document with its text and how it was cut."""
    return document_json(document, collection) | {
        "text": text,
        "chunks": [
            {
                "chunk_id": chunk.id,
                "ordinal": chunk.ordinal,
                "start": chunk.start,
                "end": chunk.end,
                "headings": list(chunk.headings),
                "page": chunk.page,
            }
            for chunk in chunks
        ],
    }


def collection_json(collection: "Collection", counts: "CollectionCounts") -> Json:
    return {
        "name": collection.name,
        "documents": counts.documents,
        "chunks": counts.chunks,
        "embedder": collection.embedder,
        "dim": collection.dim,
        "settings": dict(collection.settings),
        "position": collection.position,
        "created_at": collection.created_at.isoformat(timespec="milliseconds"),
    }


def report_json(report: "Report") -> Json:
    """What an ingest did."""
    return {
        "added": report.added,
        "updated": report.updated,
        "unchanged": report.unchanged,
        "duplicate": report.duplicate,
        "skipped": report.skipped,
        "failed": report.failed,
        "documents": report.documents,
        "chunks": report.chunks,
        "embedded": report.embedded,
        "seconds": report.seconds,
        "failures": [{"uri": failure.uri, "reason": failure.reason} for failure in report.failures],
    }


def outcome_json(outcome: Outcome) -> Json:
    """What became of one source of an ingest."""
    return {
        "uri": outcome.uri,
        "state": outcome.state,
        "reason": outcome.reason,
        "documents": outcome.documents,
    }


# ── duplicates ──────────────────────────────────────────────────────────────────────────────────────────────────────


def duplicates_json(
    collection: str, counts: Iterable["Tally"], rows: Iterable["StoredDecision"], following: int | None
) -> Json:
    """What was decided on duplicates: how many of each kind, and a page of them."""
    return {
        "collection": collection,
        "counts": [
            {"scope": each.scope, "level": each.level, "policy": each.policy, "decisions": each.decisions}
            for each in counts
        ],
        "duplicates": [decision_json(row) for row in rows],
        "next": None if following is None else str(following),
    }


def decision_json(row: "StoredDecision") -> Json:
    """One duplicate; `document_id` is null where the document is held back."""
    return {
        "decision_id": row.id,
        "scope": row.scope,
        "level": row.level,
        "policy": row.policy,
        "similarity": row.similarity,
        "uri": row.uri,
        "document_id": row.document_id,
        "against_uri": row.against_uri,
        "against_id": row.against_id,
        "actor": row.actor,
        "created_at": row.created_at.isoformat(timespec="milliseconds"),
    }


# ── syncs ───────────────────────────────────────────────────────────────────────────────────────────────────────────


def difference_json(difference: "Difference") -> Json:
    """What a run of a sync did, or would do: sources by their addresses."""
    return {
        "sync": difference.sync,
        "collection": difference.collection,
        "dry_run": difference.dry_run,
        "added": list(difference.added),
        "updated": list(difference.updated),
        "moved": [{"uri": each.uri, "moved_from": each.moved_from} for each in difference.moved],
        "removed": list(difference.removed),
        "unchanged": difference.unchanged,
        "skipped": difference.skipped,
        "failed": len(difference.failures),
        "failures": [{"uri": failure.uri, "reason": failure.reason} for failure in difference.failures],
        "documents": difference.documents,
        "chunks": difference.chunks,
        "embedded": difference.embedded,
        "seconds": difference.seconds,
    }


def sync_json(sync: "StoredSync") -> Json:
    """A sync as it is listed, with how its last run went."""
    result = sync.result or {}
    counts = ("added", "updated", "moved", "removed", "unchanged", "skipped", "failed", "embedded", "seconds")
    failures = result.get("failures")
    return {
        "name": sync.name,
        "collection": sync.collection,
        "locations": [{"kind": each.kind, "place": each.place} for each in sync.follows.locations],
        "owner": sync.follows.owner,
        "metadata": dict(sync.follows.metadata),
        "labels": sorted(sync.follows.labels),
        "hosts": list(sync.follows.hosts),
        "sources": sync.sources,
        "result": None
        if sync.result is None
        else {name: result.get(name, 0) for name in counts}
        | {"failures": [{"uri": pair[0], "reason": pair[1]} for pair in _pairs(failures)]},
        "created_at": sync.created_at.isoformat(timespec="milliseconds"),
        "ran_at": sync.ran_at and sync.ran_at.isoformat(timespec="milliseconds"),
    }


def _pairs(value: object) -> list[list[object]]:
    return [pair for pair in value if isinstance(pair, list)] if isinstance(value, list) else []


# ── jobs ────────────────────────────────────────────────────────────────────────────────────────────────────────────


def job_json(job: "Job") -> Json:
    """A background job and how far it is. What it was given is not shown but for its paths: it may hold secrets."""
    paths = job.payload.get("paths")
    return {
        "job_id": job.id,
        "kind": job.kind,
        "state": job.state,
        "collection": job.collection,
        "user": job.user,
        "paths": list(paths) if isinstance(paths, list) else [],
        "progress": {
            "done": job.progress.done,
            "total": job.progress.total,
            "documents": job.progress.documents,
            "uri": job.progress.uri,
        },
        "counts": {state: job.progress.counts.get(state, 0) for state in get_args(FileState)},
        "result": None if job.result is None else dict(job.result),
        "error": job.error,
        "attempts": job.attempts,
        "cancel_asked": job.cancel_asked_at is not None,
        "created_at": job.created_at.isoformat(timespec="milliseconds"),
        "started_at": job.started_at and job.started_at.isoformat(timespec="milliseconds"),
        "finished_at": job.finished_at and job.finished_at.isoformat(timespec="milliseconds"),
    }


def job_item_json(item: "Item") -> Json:
    """What became of one file of a job."""
    return {
        "uri": item.uri,
        "state": item.state,
        "reason": item.reason,
        "documents": item.documents,
        "created_at": item.created_at.isoformat(timespec="milliseconds"),
    }


# ── evaluation ──────────────────────────────────────────────────────────────────────────────────────────────────────


def evaluation_json(evaluation: "Evaluation") -> Json:
    """A run over judged queries. `collection`, `position`, `generation` and `latency_ms` are null where it came from a
    run file."""
    run = evaluation.run
    return {
        "run_id": evaluation.id,
        "name": run.name,
        "folder": run.folder,
        "folder_digest": run.digest.hex(),
        "collection": run.collection,
        "mode": run.mode,
        "queries": evaluation.queries,
        "metrics": {name: found["value"] for name, found in run.metrics.items()},
        "intervals": {name: {"low": found["low"], "high": found["high"]} for name, found in run.metrics.items()},
        "latency_ms": None if run.latency_ms is None else dict(run.latency_ms),
        "settings": dict(run.settings),
        "position": run.position,
        "generation": run.generation,
        "version": run.version,
        "user": run.user,
        "created_at": evaluation.created_at.isoformat(timespec="milliseconds"),
    }


def judged_query_json(query: "JudgedQuery") -> Json:
    """One judged query of a run: where its relevant documents were ranked (null: nowhere), and what came first (its
    grade is null where it was not judged)."""
    ranks = {document: rank for rank, document in enumerate(query.ranking, 1)}
    relevant = [(document, grade) for document, grade in query.relevant.items() if grade >= 1]
    return {
        "query_id": query.id,
        "question": query.question,
        "metrics": dict(query.metrics),
        "latency_ms": query.latency_ms,
        "relevant": [
            {"external_id": document, "grade": grade, "rank": ranks.get(document)}
            for document, grade in sorted(relevant, key=lambda pair: (ranks.get(pair[0], len(ranks) + 1), pair[0]))
        ],
        "found": [
            {"external_id": document, "grade": query.relevant.get(document), "score": score}
            for document, score in list(query.ranking.items())[:5]
        ],
    }


def comparison_json(first: "Evaluation", second: "Evaluation", comparison: "Comparison", shown: int = 10) -> Json:
    """Two runs over the queries that both have, judged alike. `difference` is second minus first, with its 95 %
    bootstrap interval and the p of a two-sided paired randomisation test; `p_holm`, corrected for the number of
    metrics, is null where there is one. `losses` are the queries that lost most by the first metric."""
    return {
        "first": {"run_id": first.id, "name": first.name, "mode": first.run.mode},
        "second": {"run_id": second.id, "name": second.name, "mode": second.run.mode},
        "queries": comparison.queries,
        "only_first": comparison.only_first,
        "only_second": comparison.only_second,
        "judged_otherwise": comparison.judged_otherwise,
        "metrics": [
            {
                "metric": one.metric,
                "first": one.first,
                "second": one.second,
                "difference": one.difference.mean.value,
                "low": one.difference.mean.low,
                "high": one.difference.mean.high,
                "p": one.difference.p,
                "p_holm": one.p_holm,
                "wins": one.difference.wins,
                "losses": one.difference.losses,
                "ties": comparison.queries - one.difference.wins - one.difference.losses,
            }
            for one in comparison.metrics
        ],
        "losses": [
            {
                "query_id": change.query.id,
                "question": change.query.question,
                "first": change.first,
                "second": change.second,
            }
            for change in comparison.changes
            if change.second < change.first
        ][:shown],
    }


# ── errors ──────────────────────────────────────────────────────────────────────────────────────────────────────────


def problem_json(error: RagError) -> Json:
    """An error of ours as a problem document (RFC 9457); its `type` names the class."""
    return problem(type(error).__name__, error.status, str(error))


def problem(name: str, status: int, detail: str) -> Json:
    """A problem document (RFC 9457) of an error called `name`, in CamelCase."""
    return {
        "type": PROBLEM + kebab(name),
        "title": kebab(name).replace("-", " ").capitalize(),
        "status": status,
        "detail": detail,
    }


def kebab(name: str) -> str:
    """CamelCase as kebab-case."""
    return re.sub(r"(?<!^)(?=[A-Z])", "-", name).lower()
