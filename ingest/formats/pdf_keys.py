"""Encrypted PDFs with an empty owner password are opened with none: the library tries an empty one as a user's only.

With AES-256 (revision 6; ISO 32000-2, 7.6.4) a file's key lies in it twice, locked by the user's password and by the
owner's. Where the owner's is empty, anybody may take the key out and lock it up again under an empty user password,
which the library then opens. Only the two entries that hold it change, at their place and in their length.
"""

import hashlib
import re

_REFERENCE = re.compile(rb"/Encrypt\s+(\d{1,10})\s+(\d{1,5})\s+R")
_SALT = bytes(8)  # of the new entry: it protects an empty password, so it may be known


def without_password(content: bytes) -> bytes | None:
    """The file such that an empty password opens it; None where its owner password is not empty, or it is encrypted in
    another way."""
    found = _entries(content)
    if found is None:
        return None
    start, dictionary = found
    user, owner, owner_key = (_hexadecimal(dictionary, name) for name in (b"U", b"O", b"OE"))
    if (
        user is None
        or owner is None
        or owner_key is None
        or len(user) != 48
        or len(owner) != 48
        or len(owner_key) != 32
    ):
        return None
    if _hash(owner[32:40], user) != owner[:32]:
        return None
    key = _aes(_hash(owner[40:48], user), bytes(16), owner_key, decrypting=True)
    entries = {b"U": _hash(_SALT, b"") + _SALT + _SALT, b"UE": _aes(_hash(_SALT, b""), bytes(16), key)}
    for name, value in entries.items():
        match = _entry(dictionary, name)
        if match is None or len(bytes.fromhex(match[1].decode("ascii"))) != len(value):
            return None
        dictionary = (
            dictionary[: match.start(1)] + value.hex().encode().ljust(len(match[1])) + dictionary[match.end(1) :]
        )
    return content[:start] + dictionary + content[start + len(dictionary) :]


def _entries(content: bytes) -> tuple[int, bytes] | None:
    """Where the encryption dictionary of revision 6 stands, and its bytes."""
    reference = next(reversed(list(_REFERENCE.finditer(content))), None)  # the last trailer counts
    if reference is None:
        return None
    begin = re.search(rb"(?<!\d)%s\s+%s\s+obj\b" % (reference[1], reference[2]), content)
    end = content.find(b"endobj", begin.end()) if begin else -1
    if begin is None or not 0 < end - begin.end() < 10_000:
        return None
    dictionary = content[begin.end() : end]
    return (begin.end(), dictionary) if re.search(rb"/R\s+6\b", dictionary) else None


def _entry(dictionary: bytes, name: bytes) -> re.Match[bytes] | None:
    return re.search(rb"/%s\s*<([0-9A-Fa-f]+)>" % name, dictionary)


def _hexadecimal(dictionary: bytes, name: bytes) -> bytes | None:
    match = _entry(dictionary, name)
    return bytes.fromhex(match[1].decode("ascii")) if match and len(match[1]) % 2 == 0 else None


def _hash(salt: bytes, user: bytes) -> bytes:
    """The hash of an empty password (algorithm 2.B); `user` is the U entry for an owner's, empty for a user's."""
    key = hashlib.sha256(salt + user).digest()
    number, last = 0, 0
    while number < 64 or last > number - 32:
        block = _aes(key[:16], key[16:32], (key + user) * 64)
        algorithm = (hashlib.sha256, hashlib.sha384, hashlib.sha512)[sum(block[:16]) % 3]
        key, last = algorithm(block).digest(), block[-1]
        number += 1
    return key[:32]


def _aes(key: bytes, start: bytes, data: bytes, *, decrypting: bool = False) -> bytes:
    """AES in CBC mode without padding."""
    from cryptography.hazmat.primitives.ciphers import Cipher, algorithms, modes

    cipher = Cipher(algorithms.AES(key), modes.CBC(start))
    context = cipher.decryptor() if decrypting else cipher.encryptor()
    return context.update(data) + context.finalize()
