"""Numbers of things, as people write them."""


def counted(number: int, noun: str) -> str:
    """1 document, 2 documents, 12,345 queries."""
    if number == 1:
        return f"1 {noun}"
    return f"{number:,} {noun[:-1]}ies" if noun.endswith("y") else f"{number:,} {noun}s"
