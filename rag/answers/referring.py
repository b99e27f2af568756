"""Words by which a question leans on what was said before it, in English, German and French.

Lists are of lower-case words. What is not here is taken for a word with a meaning of its own.
"""

import re
from collections.abc import Mapping
from dataclasses import dataclass
from functools import cached_property


@dataclass(frozen=True)
class Wording:
    """How one language refers back."""

    things: frozenset[str]  # pronouns for anything, as subject or object: it, they
    persons: frozenset[str]  # pronouns for people: he, she
    owners: frozenset[str]  # possessives: its, their, his
    pointers: frozenset[str]  # this, these: before a noun or alone
    doubtful: frozenset[str]  # that: a pronoun only where nothing else fits
    adverbs: frozenset[str]  # there, thereof
    asking: frozenset[str]  # who, when, how
    verbs: frozenset[str]  # auxiliaries, and verbs that say little by themselves
    prepositions: frozenset[str]
    joints: frozenset[str]  # where a new clause begins, whose pronouns may mean a noun before it
    leading: frozenset[str]  # and, but
    little: frozenset[str]  # the other words without a meaning of their own
    general: frozenset[str]  # nouns that are always something's: advantages, price, example
    about: re.Pattern[str]  # "what about", as the beginning of a question
    empty: re.Pattern[str]  # uses of pronouns that refer to nothing: "is it possible to"

    @cached_property
    def referring(self) -> frozenset[str]:
        """Words that may mean what was said before, but for possessives."""
        return self.things | self.persons | self.pointers | self.doubtful | self.adverbs

    @cached_property
    def function(self) -> frozenset[str]:
        """Words without a meaning of their own."""
        own = self.owners | self.asking | self.verbs | self.prepositions | self.joints | self.leading | self.little
        return self.referring | own


def _wording(lists: str, *, about: re.Pattern[str], empty: re.Pattern[str]) -> Wording:
    """A wording from its lists, each the name of a field and its words."""
    _, *pieces = re.split(r"(\w+):", lists)
    named = {name: frozenset(words.split()) for name, words in zip(pieces[::2], pieces[1::2], strict=True)}
    return Wording(**named, about=about, empty=empty)


ENGLISH = _wording(
    """
    things: it they them
    persons: he him she
    owners: its their theirs his her hers
    pointers: this these those
    doubtful: that
    adverbs: there thereof therein
    asking: what which who whom whose when where why how
    verbs: is are was were be been being am do does did done doing has have had having can could will would shall
        should may might must use used using make makes made making work works worked get gets got mean means meant
        happen happens happened isn't aren't doesn't don't didn't can't won't wasn't weren't needed need needs take
        takes took
    prepositions: in on at for with without during since from under of by after before to between as among into over
        against about than within across behind inside outside like per via through until
    joints: when if because while after before and but so which who or since unless without by than although
    leading: and but or so also then okay ok well
    little: itself themselves himself herself a an the i you we one me us my your our not no any some all each every
        more most much many other another same else only just very too also instead again still yet please let's
        tell give show explain say describe elaborate continue go want know think there's what's it's that's who's
        how's where's if whether up out off down back both few such own way ways thing things kind kinds example
        examples exactly really actually long often far well detail details further briefly short instance
    general: advantage advantages disadvantage disadvantages benefit benefits drawback drawbacks downside downsides
        risk risks limit limits limitation limitations exception exceptions alternative alternatives difference
        differences default defaults step steps requirement requirements consequence consequences cost costs price
        reason reasons purpose cause causes symptom symptoms treatment treatments population capital area height
        size weight length depth age author authors inventor founder date year name names type types goal goals
        problem problems option options parameter parameters syntax side effect effects pros cons main best worst
        first second third last important big old tall high heavy deep wide expensive main typical common better
        worse different possible recommended start end happens next
    """,
    about=re.compile(
        r"(?:(?:and|but|so|ok|okay|well|also)[ ,]+)*(?:what|how)(?:'s| is| are)? about\s+|"
        r"(?:(?:and|but|so)[ ,]+)?(?:what|how) (?:if|when) it(?:'s| is) (?:about|for|in|with)\s+",
        re.IGNORECASE,
    ),
    empty=re.compile(
        r"\b(?:it(?:'s| is| was| would be| will be)?|is it|was it|would it(?: be)?|does it|did it|do it|can it be|"
        r"will it) (?:[\w'-]+ ){0,4}?(?:to (?!it\b|them\b|this\b|that\b|do (?:it|this|that|so)\b)\w+|that \w+|if \w+|"
        r"when \w+|worth \w+ing)|"
        r"\bwhat time is it\b|\b(?:this|these|those) (?:days|year|week|month|time|morning|evening|one'?s?\b(?= own))|"
        r"\bthose (?:who|that|which|of|with|in)\b|\b(?:there (?:is|are|was|were|be|has|have|exists?)|"
        r"(?:is|are|was|were|isn't|aren't|be|been|has|have) there)\b|\bthat (?:is|are) (?:possible|needed|required)\b",
        re.IGNORECASE,
    ),
)

GERMAN = _wording(
    """
    things: er es ihn ihm sie ihnen
    persons:
    owners: sein seine seinen seinem seiner seines ihr ihre ihren ihrem ihrer ihres dessen deren
    pointers: dies dieser diese dieses diesen diesem jener jene jenes jenen
    doubtful: das
    adverbs: dort davon damit dafür dazu darin darauf darüber dabei daran dagegen dadurch hierfür hiermit
    asking: was wer wen wem wessen wann wo wohin woher warum wieso weshalb wie welche welcher welches welchen
        welchem wozu wofür womit wodurch
    verbs: ist sind war waren sein bin wird werden wurde wurden hat haben hatte hatten kann können konnte muss
        müssen soll sollen sollte darf dürfen macht machen gibt geht funktioniert bedeutet heißt braucht lässt
        passiert
    prepositions: in im an am auf für mit ohne während seit von vom unter bei beim nach vor zu zum zur zwischen als
        aus um gegen über durch bis ab pro
    joints: wenn weil während nachdem bevor und aber oder sodass obwohl dass ob falls
    leading: und aber oder also dann ok okay auch
    little: der die das den dem des ein eine einen einem einer eines ich du wir man mir uns mich mein dein unser
        nicht kein keine keinen mehr sehr noch auch nur schon denn eigentlich genau bitte sag erkläre zeig beispiel
        beispiele lange oft viel viele sich so da hier etwas alle
    general: vorteile vorteil nachteile nachteil risiken grenzen ausnahmen alternativen unterschied unterschiede
        schritte voraussetzungen folgen kosten preis grund gründe zweck ursachen ursache symptome behandlung
        hauptstadt fläche höhe größe länge alter name jahr groß hoch alt tief schwer teuer wichtig
    """,
    about=re.compile(
        r"(?:(?:und|aber)\s+)?(?:was ist mit|wie ist es (?:mit|bei|in)|wie sieht es (?:mit|bei|in))\s+", re.I
    ),
    empty=re.compile(
        r"(?i:\b(?:gibt es|es gibt|ist es|es ist|war es|geht es um|es geht um)\b)|\bSie\b|\bIhr(?:e[nmrs]?)?\b"
    ),
)

FRENCH = _wording(
    """
    things: il elle ils elles lui
    persons:
    owners: son sa ses leur leurs
    pointers: cela ça ceci celui-ci celle-ci ceux-ci celles-ci
    doubtful:
    adverbs: là-bas y en
    asking: que qui quoi quel quelle quels quelles quand où pourquoi comment combien lequel laquelle qu'est-ce
    verbs: est sont était étaient être a ont avait peut peuvent doit doivent faut fait font va vont sert marche
        fonctionne signifie utilise utiliser fut soit est-ce c'est sera seront peut-on doit-on faut-il
    prepositions: dans en à au aux pour avec sans pendant depuis de du des sous par après avant entre sur chez vers
        contre
    joints: quand si parce lorsque et mais ou donc afin puisque car pendant
    leading: et mais ou donc alors ok
    little: le la les l' un une je tu nous vous on me te se mon ma mes votre vos notre nos ne pas plus moins très
        aussi encore que tout tous toute toutes exemple exemples ce cet cette ces il-y-a y-a-t-il d' s'il longtemps
        temps
    general: avantages avantage inconvénients inconvénient risques risque limites exceptions alternatives différence
        différences étapes conséquences coût coûts prix raison raisons but causes cause symptômes traitement
        capitale superficie hauteur taille âge nom année grand haut vieux important
    """,
    about=re.compile(
        r"(?:(?:et|mais)\s+)?(?:qu['’]en est-il (?:de |du |des |d['’]|pour |en )|quid (?:de |du |des |d['’]))", re.I
    ),
    empty=re.compile(
        r"\b(?:il y a|y a-t-il|y a t il|est-il possible|faut-il|faut il|il faut|il est possible|s['’]il|s['’]agit-il|"
        r"en (?=[A-ZÉÈÀÎ\d])|en quoi|en quelle|en général|en cas|en tant)",
        re.IGNORECASE,
    ),
)

WORDINGS: Mapping[str, Wording] = {"en": ENGLISH, "de": GERMAN, "fr": FRENCH}
