"""How the interpreter of a process is set up for what it does here."""

import gc
import sys


def tune() -> None:
    """Set this process's interpreter up; for whoever owns the process, once."""
    # Libraries allocate while they load: of a cold search's 620 ms of processor time 40 went to looking for garbage.
    gc.set_threshold(50_000, 20, 100)
    # A thread that comes back from a model, SQLite or a tokenizer waits so long for one that computes; by default 5 ms.
    sys.setswitchinterval(0.0005)
