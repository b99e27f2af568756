"""Importing ingest stays cheap: no parser's library is loaded before a file of its format is read."""

import subprocess
import sys

HEAVY = ("charset_normalizer", "docx", "lxml", "markdown_it", "numpy", "pathspec", "pypdfium2", "selectolax", "torch")


def test_heavy_libraries_wait_until_they_are_needed() -> None:
    program = (
        "import sys, ingest.sources, ingest.parsers, ingest.clean, ingest.dedup, ingest.chunk\n"
        "import ingest.languages.sentences\n"
        "ingest.parsers.formats()\n"
        f"print([name for name in {HEAVY!r} if name in sys.modules])"
    )
    done = subprocess.run([sys.executable, "-c", program], capture_output=True, text=True, check=True)
    assert done.stdout.strip() == "[]"
