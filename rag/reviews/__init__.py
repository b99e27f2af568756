"""Which answers people look at, and how far they agree."""
