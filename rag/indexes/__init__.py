"""A collection's indexes as a cache of SQL: generations on disk, an exact tail of what came later, one position."""
