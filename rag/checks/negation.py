"""Negation: which words of a text are said and which are denied, and where two texts differ in that."""

from bisect import bisect_right
from collections.abc import Container, Iterator, Sequence, Set
from dataclasses import dataclass
from functools import lru_cache
from itertools import chain

from rag.checks.places import Place, Places, shared
from rag.language import NEGATIONS, Word, has_content, is_content, listed, opposites, stem
from rag.types import Reason

REACH = 4  # content words that a negation denies
BETWEEN = " … "  # of two words, where a negation stands between them in one text
# Words of denial in German, French, Spanish, Italian, Portuguese, Dutch.
OTHER_NEGATIONS = frozenset(
    listed("""
        nicht kein keine keinen keiner keinem keines nie niemals niemand nichts nirgends ohne weder ne n' pas jamais
        aucun aucune sans rien personne ni ningún ninguna ninguno nunca jamás nadie sin tampoco non mai nessun
        nessuno nessuna senza né não nunca nenhum nenhuma jamais sem ninguém nem niet geen nooit niemand zonder
        niets nergens
    """)
)
_EITHER_WAY = frozenset(listed("nicht nie niemals niet nooit pas jamais"))  # that may stand behind what they deny
_ENDS_REACH = frozenset(
    listed("""
        but although though while whereas because if unless when since however aber mais pero ma mas maar sondern
    """)
)
_NO_DENIAL = frozenset(listed("only just merely solely simply nur seulement sólo solo apenas"))  # not only …
_COMPARED = frozenset(listed("less fewer more later earlier longer"))  # no less than …
_SECOND_HALVES = frozenset(listed("pas jamais rien personne aucun aucune nor ni nem"))
IN_PLACE = 4  # neighbours that the place of a negation and the gap where it is missing must have in common
_PREFIXES = ("un", "in", "im", "ir", "il", "dis", "non", "mis")
_NOT_PREFIXED = frozenset(
    listed("""
        inform improve import impress install display discover discuss involve intent increase index infer insight
        inside intake input discharge interest understand until union unit unite unless under image impact imply
        issue distribute distance instance invest inspect instruct investigate information inventory internet
        internal dispatch discount disease district discipline missing mission
    """)
)


@dataclass(frozen=True, slots=True)
class Clauses:
    """What a text says and what it denies."""

    texts: tuple[tuple[tuple[Word, ...], Places], ...]  # the words of each text that was read by itself
    said: frozenset[str]  # content stems that are said somewhere
    denied: frozenset[str]  # … that are denied somewhere
    denials: tuple[tuple[Place, frozenset[str]], ...]  # for each negation its place and the stems that it denies

    @property
    def words(self) -> Iterator[Word]:
        return chain.from_iterable(words for words, _ in self.texts)


def clauses(found: tuple[Word, ...], text: str, ends: Sequence[int], place: Places) -> Clauses:
    """What a text denies: the four content words after a negation in its clause; where none follows, the one before.

    ends: where the text's sentences end, beyond which no negation reaches. A second negation takes the first one back.
    """
    reaches = {i: _reached(found, i, text, ends) for i in _negations(found)}
    denied: set[int] = set()
    for reached in reaches.values():
        denied ^= reached
    content = {i for i, word in enumerate(found) if _says(word.text)}
    return Clauses(
        ((found, place),),
        frozenset(found[i].stem for i in content - denied),
        frozenset(found[i].stem for i in content & denied),
        tuple(
            (place(found[i].start, found[i].end), frozenset(found[n].stem for n in reached & denied))
            for i, reached in reaches.items()
        ),
    )


def together(several: Sequence[Clauses]) -> Clauses:
    """What several texts say and deny, each by itself."""
    return Clauses(
        tuple(text for each in several for text in each.texts),
        frozenset().union(*(each.said for each in several)),
        frozenset().union(*(each.denied for each in several)),
        tuple(denial for each in several for denial in each.denials),
    )


def _negations(found: Sequence[Word]) -> list[int]:
    places: list[int] = []
    for i in [i for i, word in enumerate(found) if _denies(word.text)]:
        low = found[i].text.lower().replace("’", "'")
        following = found[i + 1].text.lower() if i + 1 < len(found) else ""
        if low == "no" and following in _COMPARED:
            continue
        if low in _SECOND_HALVES and places and i - places[-1] <= 3:
            continue  # French "ne … pas" is one denial
        places.append(i)
    return places


@lru_cache(maxsize=65536)
def _denies(written: str) -> bool:
    low = written.lower().replace("’", "'")
    return low in NEGATIONS or low in OTHER_NEGATIONS or low == "unless"


@lru_cache(maxsize=65536)
def _says(written: str) -> bool:
    """Whether a word has a meaning that can be denied."""
    return has_content(written) and written.lower() not in OTHER_NEGATIONS


def _reached(found: Sequence[Word], at: int, text: str, ends: Sequence[int]) -> set[int]:
    limit = ends[min(bisect_right(ends, found[at].start), len(ends) - 1)] if ends else len(text)
    if at + 1 < len(found) and found[at + 1].text.lower() in _NO_DENIAL:
        return set()
    most = 1 if text[found[at].end : found[at].end + 1] == "-" else REACH  # non-breaking
    reached: set[int] = set()
    for i in range(at + 1, len(found)):
        word = found[i]
        between = text[found[i - 1].end : word.start]
        if word.start >= limit or word.text.lower() in _ENDS_REACH or any(mark in between for mark in ",;:—("):
            break
        if is_content(word):
            reached.add(i)
            if len(reached) == most:
                break
    if found[at].text.lower() in _EITHER_WAY:
        reached |= _before(found, at, text, ends)
    if not reached and at and "," not in text[found[at - 1].end : found[at].start]:
        reached = set([i for i in range(at - 1, max(at - 3, -1), -1) if is_content(found[i])][:1])
    return reached


def _before(found: Sequence[Word], at: int, text: str, ends: Sequence[int]) -> set[int]:
    """The content words before a negation in its clause, four at most: "der Zug fährt sonntags nicht"."""
    start = max((end for end in ends if end <= found[at].start), default=0)
    reached: set[int] = set()
    for i in range(at - 1, -1, -1):
        between = text[found[i].end : found[i + 1].start]
        if found[i].start < start or len(reached) == REACH or any(mark in between for mark in ",;:—("):
            break
        if is_content(found[i]):
            reached.add(i)
    return reached


def compare(ours: Clauses, theirs: Clauses, heard: Set[str], held: Set[str]) -> list[Reason]:
    """The words that one side denies and the other says, and those whose opposite stands in their place.

    A negation and an opposite cancel each other: "did not increase" agrees with "decreased", "not possible" with
    "impossible". heard: the text's stems, held: with those that it stands for.
    """
    stems = {word.stem for words, _ in ours.texts for word in words}
    table = opposites()
    turned = [
        (one, other)
        for one in sorted(stems - held)
        for other in sorted(table.get(one, frozenset()) & heard)
        if other not in stems
    ]
    turned += _prefixed(ours, theirs, stems, heard)
    flips = _flipped(ours, theirs) or _flipped(theirs, ours) or _put_in(ours, theirs) or _put_in(theirs, ours)
    if flips and turned:
        return []
    if not flips and not turned:
        return []
    here, there = _written(ours), _written(theirs)
    found = [
        Reason("negation", f"{here.get(one, one)} against {there.get(other, other)} in the text")
        for one, other in turned
    ]
    if flips:
        known = there | here
        told = [BETWEEN.join(known.get(part, part) for part in each.split(BETWEEN)) for each in flips[:4]]
        found.append(Reason("negation", f"negated on one side only: {', '.join(told)}"))
    return found


def _written(text: Clauses) -> dict[str, str]:
    """How the first word of each stem is written: reasons are read by people."""
    written: dict[str, str] = {}
    for word in text.words:
        written.setdefault(word.stem, word.text)
    return written


def _flipped(with_denial: Clauses, without: Clauses) -> list[str]:
    """Words that the one text denies and the other one only says, of denials that share no word with the other's."""
    return sorted(
        {
            key
            for _, reached in with_denial.denials
            if not reached & without.denied
            for key in reached
            if key in without.said and key not in with_denial.said
        }
    )


def _put_in(with_denial: Clauses, without: Clauses) -> list[str]:
    """The words around a negation of the one text that stand side by side in the other, with more of the same around.

    Between them "with" may stand where the one has "without".
    """
    gaps = {_beside(place) for place, _ in without.denials}
    places = [place for place, _ in with_denial.denials if place.before and place.after and _beside(place) not in gaps]
    if not places:
        return []
    wanted = {(place.before[0], place.after[0]): place for place in places}
    plain = [gap for _, gap in _gaps(with_denial, wanted)]
    for pair, gap in _gaps(without, wanted):
        near = shared(wanted[pair], gap)
        if near >= IN_PLACE and not any(shared(other, gap) >= near for other in plain):
            return [BETWEEN.join(pair)]
    return []


def _gaps(one: Clauses, wanted: Container[tuple[str, str]]) -> Iterator[tuple[tuple[str, str], Place]]:
    """Where a negation could stand: two neighbours that are wanted, "with" between them aside, and the place between
    them."""
    for words, place in one.texts:
        for i, word in enumerate(words[:-1]):
            follows = i + 2 if words[i + 1].text == "with" and i + 2 < len(words) else i + 1
            other = words[follows]
            if (pair := (word.stem, other.stem)) in wanted:
                yield pair, place(word.end, other.start)


def _beside(place: Place) -> tuple[tuple[str, ...], tuple[str, ...]]:
    return place.before[:1], place.after[:1]


def _prefixed(ours: Clauses, theirs: Clauses, said: Set[str], heard: Set[str]) -> list[tuple[str, str]]:
    """Words that differ by a prefix of negation only: secure, insecure. said, heard: the stems of either side."""
    only_ours = {word.text.lower(): word.stem for word in ours.words if word.stem not in heard}
    if not only_ours:
        return []
    only_theirs = {word.text.lower(): word.stem for word in theirs.words if word.stem not in said}
    stems, bare = {*only_ours.values()}, {without_prefix(one) for one in only_ours}
    near = sorted(other for other, key in only_theirs.items() if key in bare or without_prefix(other) in stems)
    return [
        (one, other)
        for one in sorted(only_ours)
        for other in near
        if without_prefix(one) == only_theirs[other] or without_prefix(other) == only_ours[one]
    ]


@lru_cache(maxsize=8192)
def without_prefix(word: str) -> str | None:
    """The stem of a word in small letters without its prefix of negation; None when it has none."""
    if word in _NOT_PREFIXED:
        return None
    prefix = next((prefix for prefix in _PREFIXES if word.startswith(prefix) and len(word) - len(prefix) >= 4), None)
    return stem(word[len(prefix) :]) if prefix else None
