"""Office files with a password are decrypted with those given ([MS-OFFCRYPTO]: agile, standard, RC4)."""

import io
from dataclasses import replace
from typing import TYPE_CHECKING

from ingest import media_types
from ingest.errors import Damaged, Encrypted, IngestError, TooLarge
from ingest.formats import ole
from ingest.types import Source

if TYPE_CHECKING:
    from msoffcrypto.format.base import BaseOfficeFile

_PACKAGE = "EncryptedPackage"  # the stream that holds a .docx, .xlsx or .pptx with a password
_EVERYONES = "VelvetSweatshop"  # what Excel encrypts with when a workbook is only protected against changes
_OLD_STREAMS = ("WordDocument", "Workbook", "Book", "PowerPoint Document")
_MOST_ROUNDS = 1_000_000  # of hashing, a second or two; Office uses 100,000, [MS-OFFCRYPTO] 2.3.4.10 permits 10,000,000


def opened(source: Source) -> Source:
    """The source itself, or decrypted and its media type found again where it is an Office file with a password.

    Raises Encrypted: no or no right password. Damaged: its encryption cannot be read. TooLarge: a password takes too
    long to try.
    """
    if not source.content.startswith(ole.MAGIC[:4]) or not _locked(source):
        return source
    for password in (*source.passwords, _EVERYONES):
        content = _decrypted(source, password)
        if content is not None:
            return replace(source, content=content, media_type=media_types.of(source.uri, content))
    if source.passwords:
        raise Encrypted(f"{source.uri}: it is encrypted, and no given password opens it; give its own with --password")
    raise Encrypted(f"{source.uri}: it is encrypted; give its password with --password, or save it without one")


def _locked(source: Source) -> bool:
    try:
        with ole.open_ole(source.content, source.uri) as container:
            if container.exists(_PACKAGE):
                return True
            if not any(container.exists(name) for name in _OLD_STREAMS):
                return False
    except IngestError:
        return _PACKAGE.encode("utf-16-le") in source.content
    import msoffcrypto

    try:
        return bool(msoffcrypto.OfficeFile(io.BytesIO(source.content)).is_encrypted())
    except Exception:  # it is damaged, which its parser will say
        return False


def _decrypted(source: Source, password: str) -> bytes | None:
    """The content; None when the password is wrong."""
    import msoffcrypto
    from msoffcrypto.exceptions import DecryptionError, InvalidKeyError

    out = io.BytesIO()
    try:
        office = msoffcrypto.OfficeFile(io.BytesIO(source.content))
        rounds = _rounds(office)
        if rounds > _MOST_ROUNDS:
            raise TooLarge(f"{source.uri}: a password for it takes {rounds:,} rounds to try; save it again without one")
        if office.format == "ooxml":
            office.load_key(password=password, verify_password=True)
        else:
            office.load_key(password=password)
        office.decrypt(out)
    except IngestError:
        raise
    except (InvalidKeyError, DecryptionError):
        return None
    except Exception as error:  # a broken envelope breaks the library in ways that nobody listed
        if password == _EVERYONES:
            return None
        raise Damaged(f"{source.uri}: its encryption is damaged ({error}); save it again without a password") from error
    return out.getvalue() or None


def _rounds(office: "BaseOfficeFile") -> int:
    """How often a password is hashed before it is tried; 0 where the format fixes that."""
    about = getattr(office, "info", None)
    return int(about.get("spinValue", 0)) if isinstance(about, dict) else 0
