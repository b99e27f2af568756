"""Conversations: in lines, and whole as trees."""

from collections.abc import Sequence
from typing import TYPE_CHECKING

from rag.shapes import Json

if TYPE_CHECKING:
    from rag.store.log.conversations import Conversation, Node


def conversation_json(conversation: "Conversation") -> Json:
    """A line of the list."""
    return {
        "conversation_id": conversation.id,
        "created_at": conversation.created_at.isoformat(timespec="milliseconds"),
        "question": conversation.question,
        "turns": conversation.turns,
        "last_at": conversation.last_at.isoformat(timespec="milliseconds"),
    }


def tree_json(conversation_id: str, turns: Sequence["Node"]) -> Json:
    """A conversation as a tree: each turn with the ids of what continues it, so that no depth is too deep for JSON."""
    children: dict[str | None, list[str]] = {}
    for node in turns:
        children.setdefault(node.parent_id, []).append(node.id)
    return {
        "conversation_id": conversation_id,
        "roots": children.get(None, []),
        "turns": [_turn_json(node, children.get(node.id, [])) for node in turns],
    }


def _turn_json(node: "Node", children: Sequence[str]) -> Json:
    return {
        "interaction_id": node.id,
        "turn": node.turn,
        "kind": node.kind,
        "parent_id": node.parent_id,
        "regenerates_id": node.regenerates_id,
        "children": list(children),
        "created_at": node.created_at.isoformat(timespec="milliseconds"),
        "collection": node.collection,
        "question": node.question,
        "search_query": node.search_query,
        "answer": node.answer,
        "abstained": node.abstained,
        "finish_reason": node.finish_reason,
        "error": node.error,
        "model": node.model,
    }
