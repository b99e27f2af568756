"""What two texts say, compared fact by fact: numbers, units, dates, names, negation. Pure, no model; a check a file.

`reading.read` turns a text into its facts and its other words, once; each check compares two readings and gives the
reasons why the first is not borne out by the second. `rag/support.py` makes a judgement of them.
"""
