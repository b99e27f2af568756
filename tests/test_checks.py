"""What the checks know of numbers, units, dates, names, negation and short forms, one case each way."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from rag.checks import dates
from rag.checks.amounts import agree
from rag.checks.numbers import quantities
from rag.checks.reading import read, together
from rag.support import judge, judged


def kinds(sentence: str, text: str) -> set[str]:
    return {reason.kind for reason in judge(sentence, text).reasons} - {"words"}


AMOUNTS = "It needs {} to run."


@pytest.mark.parametrize(
    ("text", "same", "other", "kind"),
    [
        ("5 km", "3.1 miles", "5 miles", "unit"),
        ("2 hours", "120 minutes", "90 minutes", "number"),
        ("250 ms", "0.25 seconds", "250 seconds", "unit"),
        ("1 GB", "1024 MB", "1 MB", "unit"),
        ("2 GiB", "2048 MiB", "2 MiB", "unit"),
        ("80 kg", "176 pounds", "80 pounds", "unit"),
        ("20 °C", "68 °F", "20 °F", "unit"),
        ("50 %", "50 percent", "60 %", "number"),
        ("half", "50 %", "25 %", "number"),
        ("$5", "5 dollars", "€5", "unit"),
        ("90 days", "three months", "90 weeks", "unit"),
        ("two weeks", "14 days", "two days", "unit"),
        ("50 characters", "fifty characters", "50 bytes", "unit"),
        ("1,500 rows", "1500 rows", "15,000 rows", "number"),
        ("twenty-four rows", "24 rows", "42 rows", "number"),
        ("a dozen rows", "12 rows", "20 rows", "number"),
        ("two hundred and fifty-six rows", "256 rows", "265 rows", "number"),
        ("version 3.10.1", "version 3.10.1", "version 3.10.2", "number"),
        ("3,5 kg", "3.5 kg", "35 kg", "number"),
        ("5,280,000 rows", "about 5.3 million rows", "about 6 million rows", "number"),
        ("3-5 years", "36-60 months", "3-5 months", "unit"),
        ("64GB of memory", "64 GB of memory", "64 MB of memory", "unit"),
        ("two and a half hours", "150 minutes", "two hours", "number"),
        ("2 and a half hours", "2.5 hours", "3 hours", "number"),
        ("two-and-a-half hours", "2½ hours", "2 hours", "number"),
        ("an hour and a half", "90 minutes", "60 minutes", "number"),
        ("one hour and a quarter", "75 minutes", "90 minutes", "number"),
        ("half an hour", "30 minutes", "50 minutes", "number"),
        ("three quarters of an hour", "45 minutes", "34 minutes", "number"),
        ("half a million rows", "500,000 rows", "1,000,000 rows", "number"),
        ("one and a half million rows", "1.5 million rows", "1 million rows", "number"),
        ("€2m", "€2 million", "€2", "number"),
        ("$1.5bn", "1.5 billion dollars", "1.5 million dollars", "number"),
        ("2 1/2 hours", "two and a half hours", "2 hours", "number"),
        ("2 1/2 hours", "150 minutes", "3 1/2 hours", "number"),
        ("2-1/2 inches", "2.5 inches", "1.5 inches", "number"),
        ("2 1⁄2 hours", "2 ½ hours", "2 1/4 hours", "number"),
        ("$2 1/2 million", "2.5 million dollars", "2 million dollars", "number"),
        ("3/4 of the members", "75 % of the members", "1/2 of the members", "number"),
        ("three quarters of the members", "3/4 of the members", "3/5 of the members", "number"),
        ("a 2/3 majority", "a two-thirds majority", "a 3/4 majority", "number"),
        ("3/4 of an hour", "45 minutes", "34 minutes", "number"),
        ("1/2 mile", "half a mile", "2 miles", "number"),
        ("½ hour", "30 minutes", "20 minutes", "number"),
        ("1/2 % of it", "0.5 % of it", "2 % of it", "number"),
        ("1e6 rows", "1 million rows", "1e5 rows", "number"),
        ("1.5e-3 seconds", "1.5 ms", "1.5 seconds", "number"),
        ("2E+5 rows", "200,000 rows", "25 rows", "number"),
        ("5 x 10^6 rows", "5 million rows", "5 x 10^5 rows", "number"),
        ("5 × 10⁶ rows", "5e6 rows", "5 × 10⁵ rows", "number"),
        ("5x10^{-6} metres", "5 × 10⁻⁶ metres", "5 metres", "number"),
        ("10⁶ rows", "10**6 rows", "10⁵ rows", "number"),
        ("2^32 rows", "4,294,967,296 rows", "2^16 rows", "number"),
        ("from 5 to 10 million", "from 5 million to 10 million", "from 5 million to 12 million", "number"),
    ],
)
def test_amounts(text: str, same: str, other: str, kind: str) -> None:
    assert kinds(AMOUNTS.format(same), AMOUNTS.format(text)) == set()
    assert kind in kinds(AMOUNTS.format(other), AMOUNTS.format(text))


@pytest.mark.parametrize(
    ("text", "exchanged", "same"),
    [
        (
            "Profits rose from 5 to 10 million.",
            "Profits rose from 10 to 5 million.",
            "Profits: up from 5 to 10 million.",
        ),
        ("It holds 5 dogs and 12 cats.", "It holds 12 dogs and 5 cats.", "12 cats and 5 dogs are what it holds."),
        (
            "Anna scored 5 goals. Bob scored 12 goals.",
            "Anna scored 12 goals and Bob scored 5.",
            "Bob scored 12 goals and Anna scored 5.",
        ),
        (
            "The mill opened in 1990 and closed in 2004.",
            "The mill opened in 2004 and closed in 1990.",
            "The mill closed in 2004; it had opened in 1990.",
        ),
        (
            "The dose is 5 mg at night and 10 mg in the morning.",
            "The dose is 10 mg at night and 5 mg in the morning.",
            "In the morning the dose is 10 mg and at night 5 mg.",
        ),
        (
            "Class one has 5 boys and 12 girls. Class two has 12 boys and 5 girls.",
            "",
            "Class two has 12 boys and 5 girls.",
        ),
        ("North and south were 5 and 12 respectively.", "", "South and north were 12 and 5 respectively."),
    ],
)
def test_facts_that_have_changed_places(text: str, exchanged: str, same: str) -> None:
    assert judge(same, text).verdict != "contradicted", judge(same, text).reasons
    assert judge(text, text).verdict == "supported"
    if exchanged:
        told = judge(exchanged, text)
        assert told.verdict == "contradicted"
        assert "where the text has" in told.reasons[0].text


def test_reasons_are_written_in_the_words_that_stand_there() -> None:
    (turned,) = judge("The drug increases mortality.", "The drug reduces mortality.").reasons
    assert turned.text == "increases against reduces in the text"
    (flipped,) = judge("The companies are merging.", "The companies are not merging.").reasons
    assert flipped.text == "negated on one side only: merging"


@pytest.mark.parametrize(
    ("text", "values"),
    [
        ("They won 3/4, open 24/7 and/or 3/4.", [3, 4, 24, 7, 3, 4]),
        ("Step 3/4 of the setup, pages 1/2 of it", [3, 4, 1, 2]),
        ("/a/3/4/of/b of v1.2.3/4 of 192.168.0.1/24 of them", [3, 4, 1, 4, 192, 24]),
        ("aged 3/4 years, for 1/2 days", [3, 4, 1, 2]),
        ("12/2024 of Der Spiegel, 5/5 of them", [12, 2024, 5, 5]),
        ("2 x 3 m, 5 x 10 cm, 2^32 - 1", [2, 3, 5, 10, 2, 32, 1]),
        ("gate 1E6 and 7e12ab in runs/1e6 of abc-1e6, 10² and 10^", [10]),
        ("between 1/4 and 1/2 of them, 10^5-10^6", [0.25, 0.5, 1e5, 1e6]),
    ],
)
def test_a_stroke_or_an_e_is_no_fraction_and_no_power_where_it_may_be_another_thing(
    text: str, values: list[float]
) -> None:
    assert [one.value for one in quantities(text)] == values


def test_what_has_the_strokes_of_a_fraction_and_is_a_date() -> None:
    told = read("On 3/4/2024 and 2024/3/4, not on 3/4/24")
    assert ([date.year for date in told.dates], told.quantities) == ([2024, 2024, 2024], ())


def test_a_half_of_another_thing_is_no_part_of_the_number() -> None:
    told = [(one.value, one.unit) for one in quantities("12 km and a half marathon, or an hour and a half pint")]
    assert told == [(12.0, "km"), (0.5, ""), (1.0, "h"), (0.5, "")]


@pytest.mark.parametrize(
    ("text", "same", "other"),
    [
        ("3 October 2022", "October 3, 2022", "3 October 2021"),
        ("2022-10-03", "the 3rd of October 2022", "2022-10-04"),
        ("10/03/2022", "2022-10-03", "2022-11-03"),
        ("3.10.2022", "3. Oktober 2022", "3. November 2022"),
        ("3 October 2022", "Oct. 3, 2022", "Nov. 3, 2022"),
        ("3 October 2022", "October 2022", "September 2022"),
        ("3 October 2022", "2022", "2012"),
        ("14:30", "2:30 p.m.", "3:30 p.m."),
        ("Monday", "Monday", "Tuesday"),
        ("1984", "the 1980s", "the 1990s"),
        ("le 3 mars 2015", "3 March 2015", "3 May 2015"),
    ],
)
def test_dates(text: str, same: str, other: str) -> None:
    assert kinds(f"The bridge was closed on {same}.", f"The bridge was closed on {text}.") == set()
    assert "date" in kinds(f"The bridge was closed on {other}.", f"The bridge was closed on {text}.")


def test_what_looks_like_a_date_and_is_none() -> None:
    for text in ("You may march on.", "Keys of 2048 bits", "RFC 2017 of port 8000", "1/2000 of them", "version 1.2.10"):
        assert read(text).dates == (), text


@pytest.mark.parametrize(
    ("text", "same", "other"),
    [
        (
            "Send the logs to Loki in batches.",
            "Send the logs in batches to Loki.",
            "Send the logs to Splunk in batches.",
        ),
        ("Django has forms.", "Forms: Django has them.", "Flask has forms."),
        ("Use GitHub Actions for builds.", "Use Github-Actions for builds.", "Use GitLab Actions for builds."),
        ("The API needs a token.", "The application programming interface needs a token.", "The CLI needs a token."),
        ("A JSON Web Token is signed.", "A JWT is signed.", "A CSV is signed."),
        ("We met at NASA.", "We met at N.A.S.A.", "We met at ESA."),
    ],
)
def test_names(text: str, same: str, other: str) -> None:
    assert "name" not in kinds(same, text)
    assert "name" in kinds(other, text)


@pytest.mark.parametrize(
    ("text", "same", "other"),
    [
        ("It does not store passwords.", "It doesn't store passwords.", "It stores passwords."),
        ("It is possible to log in twice.", "To log in twice is possible.", "It is impossible to log in twice."),
        ("The link is secure.", "Secure is the link.", "The link is insecure."),
        ("Logs are kept without names.", "Without names logs are kept.", "Logs are kept with names."),
        ("The dose increased pressure.", "Pressure was increased by the dose.", "The dose decreased pressure."),
        ("Do not use MD5. Use SHA-256 for hashing.", "Use SHA-256 for hashing.", "Use MD5."),
        ("Sie ist nicht verschlüsselt.", "Verschlüsselt ist sie nicht.", "Sie ist verschlüsselt."),
        ("Elle ne ferme jamais avant midi.", "Avant midi elle ne ferme jamais.", "Elle ferme avant midi."),
        ("El puente no fue construido.", "No fue construido el puente.", "El puente fue construido."),
        ("Il museo non è aperto oggi.", "Oggi il museo non è aperto.", "Il museo è aperto oggi."),
        ("O museu não abre hoje.", "Hoje o museu não abre.", "O museu abre hoje."),
        ("De trein rijdt niet op zondag.", "Op zondag rijdt de trein niet.", "De trein rijdt op zondag."),
    ],
)
def test_negation(text: str, same: str, other: str) -> None:
    assert "negation" not in kinds(same, text)
    assert "negation" in kinds(other, text)


def test_nouns_of_other_languages_are_no_names_that_are_missed() -> None:
    text = "Der Server speichert die Protokolle 30 Tage lang in einer Datenbank."
    assert kinds("Die Protokolle werden vom Server 30 Tage in einer Datenbank gespeichert.", text) == set()


@given(st.text(max_size=60), st.text(max_size=60))
def test_any_text_is_read_and_judged(sentence: str, text: str) -> None:
    told = judge(sentence, text)
    assert 0 <= told.support <= 1
    assert all(0 <= one.start <= one.end <= len(text) for one in (*read(text).quantities, *read(text).dates))


@given(st.text(alphabet="0123456789.,-%kKMGBhms °CFone two\u00a0/½⁄^*x×e⁶⁻{}", max_size=30))
def test_numbers_agree_with_themselves(text: str) -> None:
    assert all(agree(one, one) for one in quantities(text))


SENTENCES = [
    "The bridge was opened on May 27, 1937 by Joseph Strauss.",
    "It spans 2.7 km and carries about 112,000 vehicles a day.",
    "The U.S. Navy did not object; costs stayed under $35 million.",
    "Engineers can't close it, e.g. in high winds.",
    "Über 300 Arbeiter kamen aus München.",
]


@given(st.lists(st.sampled_from(SENTENCES), min_size=1, max_size=6))
def test_texts_read_together_say_what_each_says_by_itself(texts: list[str]) -> None:
    one, whole = together(texts), read("\n".join(texts))
    assert [(word.text, word.stem) for word in one.words] == [(word.text, word.stem) for word in whole.words]
    assert [(amount.text, place) for amount, place in one.placed] == [
        (amount.text, place) for amount, place in whole.placed
    ]
    assert (one.written, [date.written for date in one.dates]) == (
        whole.written,
        [date.written for date in whole.dates],
    )
    assert [(name.text, name.place) for name in one.names] == [(name.text, name.place) for name in whole.names]
    assert (one.keys, one.forms, one.pairs, one.trigrams) == (whole.keys, whole.forms, whole.pairs, whole.trigrams)
    told, heard = one.clauses, whole.clauses
    assert (told.said, told.denied, told.denials) == (heard.said, heard.denied, heard.denials)
    for sentence in ("It did not open on May 28, 1937.", "Insecure costs of $35 million.", *texts):
        assert judged(read(sentence), one) == judged(read(sentence), whole)


@given(st.text(alphabet="0123456789/.-:, aMmyJun_sdSonT½²\n", max_size=40))
def test_dates_are_those_that_the_forms_find_anywhere(text: str) -> None:
    found = [moment for match in dates._FORMS.finditer(text) if (moment := dates._read(match, text))]
    assert dates.dates(text) == found


def test_no_date_goes_from_one_text_to_the_next() -> None:
    parts = ["It was built in May", "1937 workers came."]
    assert [(date.month, date.year) for date in read("\n".join(parts)).dates] == [(5, 1937)]
    assert [(date.month, date.year) for date in together(parts).dates] == [(5, None), (None, 1937)]
