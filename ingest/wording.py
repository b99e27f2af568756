"""Numbers of things, as people write them."""


def counted(number: int, noun: str) -> str:
    """1 document, 2 documents, 3 days, 12,345 queries."""
    if number == 1:
        return f"1 {noun}"
    consonant = noun[-2:-1] not in ("a", "e", "i", "o", "u")
    return f"{number:,} {noun[:-1]}ies" if noun.endswith("y") and consonant else f"{number:,} {noun}s"
