"""Why a source could not be read, one tree:

IngestError            anything that stops one source; its message names the thing and the remedy
├── Unreadable         the bytes could not be fetched: missing, no permission, not a regular file
│   └── Gone           a server says that there is nothing at the address (any more)
├── Unsupported        no parser for this kind of file
├── Damaged            the bytes are not what they claim to be
├── Encrypted          a password is needed
├── Empty              no text in it (a scan without OCR, an empty file)
├── TooLarge           over a stated limit of bytes, characters, depth, pages, memory or time
└── Refused            an address that may not be asked: its host is not allowed, is private, or robots.txt says no
"""


class IngestError(Exception):
    """One source could not be taken in; the others are not affected."""


class Unreadable(IngestError):
    """The bytes could not be fetched."""


class Gone(Unreadable):
    """A server says that there is nothing at the address (any more)."""


class Unsupported(IngestError):
    """No parser knows this kind of file."""


class Damaged(IngestError):
    """The bytes are not what they claim to be."""


class Encrypted(IngestError):
    """A password is needed and none, or a wrong one, was given."""


class Empty(IngestError):
    """There is no text in it."""


class TooLarge(IngestError):
    """It is over a stated limit."""


class Refused(IngestError):
    """The address may not be asked."""
