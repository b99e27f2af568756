"""Text becomes the spans of its sentences: exact offsets, in order, never overlapping.

Why not a library: sentencex is fast (75 MB/s here) and good at abbreviations, but one stray quotation mark or closing
parenthesis ("5\" disk", "1) placebo") hides every full stop up to its partner, in abstracts for paragraphs on end. Here
a bracket is believed only when it closes soon. Line breaks are read, too: a list item, a table row or a line of code
ends where its line ends, a wrapped line of prose does not.
"""

import re


def _words(text: str) -> frozenset[str]:
    return frozenset(text.split())


# What is almost never the end of a sentence: more follows.
_FOLLOWED = {
    "en": _words("""
        dr mr mrs ms messrs prof st mt ft gen lt col sgt capt cpt cmdr adm maj rev hon sen rep gov pres supt vs v viz
        fig figs eq eqs ref refs tab sec sect ch chap vol vols pp p art nos approx ca cf e.g i.e eg ie resp incl
        var subsp ssp sp spp syn nov univ dept est jan feb mar apr jun jul aug sep sept oct dec ave blvd rd
        j biol chem natl acad sci proc commun res rel engl med int"""),
    "de": _words("""
        dr hr fr frau herr prof bzw z.b d.h u.a s.o s.u vgl ca evtl ggf inkl exkl sog st nr bd abb tab abs art usw
        jh jhd geb gest mio mrd max min jan feb mär apr jun jul aug sep sept okt nov dez"""),
    "fr": _words("m mm mme mlle dr prof st ste cf ex p.ex c.-à-d env av apr art chap fig no vol pp p éd"),
    "es": _words("sr sra srta dr dra prof d dña ud uds p.ej art cap fig núm vol pág págs aprox av"),
}
# What may end one as well: it does when a word follows that begins sentences.
_EITHER = _words("""
    etc inc ltd co corp bros jr sr esq al a.m p.m am pm ph.d m.d b.a m.a b.c a.d d.c u.s u.k u.n""")
_STARTERS = _words("""
    a an the this that these those it its he she they we you i his her their our my in on at by for from with as if when
    while where after before since because although though however but and or so thus therefore then there here who
    what why how which is are was were do does did can could will would should may might must not no all some many most
    each every both one two three to of during under over about against between among through also moreover
    furthermore meanwhile instead finally first second third next such another other results methods conclusions
    conclusion background objective objectives""")

_CLOSERS = "\"'”’»)\\]*_`"
_OPENERS = "\"'“‘„«‹([*_`¿¡"

# A stop and what closes after it, footnote marks included, then blank or the end; a stop of a script that sets no blank
# after it; a stop without its blank ("the end.Then it"); a run of line breaks.
_CANDIDATE = re.compile(
    rf"(?P<stop>[.!?…]+)(?:[{_CLOSERS}]|\[(?:\d+(?:[,–-]\d+)*|[a-z ]{{4,30}})\]|[ ]”)*(?=\s|$)"
    rf"|(?P<wide>[。！？｡।॥۔؟]+)[{_CLOSERS}」』）》〉】]*"
    r"|(?P<tight>(?:(?<=[a-z]{3})|(?<=[\w%]\)))\.(?=[A-Z][a-z]*(?:\s+[a-z0-9]|[.:]\s)))"
    r"|(?P<line>\n\s*)"
)
_LIST_ITEM = re.compile(r"(?:[-*+•‣◦▪–—·]|\(?(?:\d{1,3}|[A-Za-z]|[ivxlIVXL]{1,5})[.)])\s")
_ENUMERATOR = re.compile(r"\s*\(?(?:\d{1,3}|[A-Za-z]|[ivxlIVXL]{1,5})")
_STRUCTURED = re.compile(r"\s*(?:[|>#<{}@$]|[-=*_~`]{3}|\w[\w ./()-]{0,60}: [^;\n]*;)|.*(?: \| |\t|[;{}\\|]\s*$)")
_DOTTED = re.compile(r"(?:\w\.)+\w")
_WORD = re.compile(r"[^\W\d_]+(?:['’][^\W\d_]+)?|\S{1,40}")
_BLANK = re.compile(r"\s*")
_WRAPPED = 40  # a line of prose at least this long was wrapped, a shorter one was ended
_LOOK_BACK = 240  # an open bracket or quotation further back than this was not meant to be closed


def sentences(text: str, language: str = "en") -> list[tuple[int, int]]:
    """The spans (start, end) of the sentences of a text, without blanks around them; none overlaps the next.

    Every character that is not blank is in exactly one span. A paragraph break always ends a sentence; so does the end
    of a list item, of a table row, of a line of code. `language` ("en", "de", "fr", "es"; else English) chooses the
    abbreviations; scripts with a full stop of their own need none. Linear in the length of the text.
    """
    followed = _FOLLOWED.get(language, _FOLLOWED["en"])
    spans: list[tuple[int, int]] = []
    start = 0
    for found in _CANDIDATE.finditer(text):
        kind = found.lastgroup
        if kind == "line":
            ends = _line_ends(text, found)
        elif kind == "stop":
            ends = _stop_ends(text, start, found, followed)
        else:
            ends = True
        if ends:
            _append(spans, text, start, found.end())
            start = found.end()
    _append(spans, text, start, len(text))
    return spans


def _append(spans: list[tuple[int, int]], text: str, start: int, end: int) -> None:
    """Add text[start:end] without its blanks; what has no letter or digit goes to the sentence before on its line."""
    piece = text[start:end]
    bare = piece.strip()
    if not bare:
        return
    begin = start + len(piece) - len(piece.lstrip())
    if spans and not any(map(str.isalnum, bare)) and "\n" not in text[spans[-1][1] : begin]:
        spans[-1] = (spans[-1][0], begin + len(bare))
    else:
        spans.append((begin, begin + len(bare)))


def _line_ends(text: str, found: re.Match[str]) -> bool:
    """Whether a run of line breaks ends a sentence."""
    before, after = found.span()
    if text.count("\n", before, after) > 1 or after == len(text):
        return True
    line_start = text.rfind("\n", 0, before) + 1
    if after - before > 4 or text.startswith("    ", line_start):
        return True  # indented: code, or a list within a list
    if before - line_start < _WRAPPED and not text[after].islower():
        return True
    following = text[after : after + 400].partition("\n")[0]
    this = text[max(line_start, before - 400) : before]
    return bool(_LIST_ITEM.match(following) or _STRUCTURED.match(this) or _STRUCTURED.match(following))


def _stop_ends(text: str, start: int, found: re.Match[str], followed: frozenset[str]) -> bool:
    """Whether a stop followed by a blank ends the sentence that begins at `start`."""
    position, end = found.span()
    blank = _BLANK.match(text, end)
    after = blank.end() if blank else end
    if after == len(text) or text.count("\n", end, after) > 1:
        return True
    while after < len(text) and text[after] in _OPENERS:
        after += 1
    first = text[after : after + 1]
    if not first or first in ".…" or _inside(text, start, position):
        return False
    near = text[max(start, position - 40) : position]
    word = near.split()[-1] if near and not near[-1].isspace() else ""
    if not word and near.rstrip()[-1:] in ("", ".", "…"):  # the leaders of a table of contents
        return False
    if position - start < 16 and _ENUMERATOR.fullmatch(text, start, position):
        return False
    if first.islower():  # "mRNA falls.", or someone who writes no capitals; hardly after "etc." or a quotation
        known = followed | _EITHER if len(word) > 3 and word.isalpha() else frozenset((word.lower(),))
        return found["stop"] == "." and end == position + 1 and word.lower() not in known
    if found["stop"] != "." or end > position + 1:
        return True
    return _word_ends(text, after, word.lstrip(_OPENERS), followed)


def _word_ends(text: str, after: int, word: str, followed: frozenset[str]) -> bool:
    """Whether `word` and its full stop end a sentence, when what begins at `after` is not in lower case."""
    found = _WORD.match(text, after)
    next_word = found.group() if found else ""
    lower = word.lower()
    initial = len(next_word) == 1 and text.startswith(".", after + 1)
    starter = next_word[:1].isupper() and not initial and next_word.lower() in _STARTERS
    if lower == "no":  # the number sign, or the word
        return not next_word[:1].isdigit()
    if lower in _EITHER or _DOTTED.fullmatch(word) or (len(word) == 1 and word.isupper() and word != "I"):
        return starter
    return lower not in followed


def _inside(text: str, start: int, position: int) -> bool:
    """Whether a position stands in brackets or typographic quotes that opened in this sentence and close soon."""
    low = max(start, position - _LOOK_BACK)
    for opening, closing in (("(", ")"), ("[", "]"), ("“", "”")):
        opened = text.rfind(opening, low, position)
        if opened < 0 or text.rfind(closing, opened, position) >= 0:
            continue
        closed = text.find(closing, position, opened + _LOOK_BACK)
        if closed > position + 3 and not (
            text.find(opening, position, closed) >= 0 or text.find("\n\n", position, closed) >= 0
        ):
            return True
    return False
