"""The packed RTF in Outlook messages, unpacked ([MS-OXRTFCP])."""

import struct

from ingest.errors import Damaged

_HEADER = struct.Struct("<IIII")  # bytes that follow this number, bytes when unpacked, kind, checksum
_PACKED, _PLAIN = 0x75465A4C, 0x414C454D  # "LZFu", "MELA"
_WINDOW = 4096
_PRESET = (  # 2.1.2.1: what the window holds at first
    rb"{\rtf1\ansi\mac\deff0\deftab720{\fonttbl;}{\f0\fnil \froman \fswiss \fmodern \fscript \fdecor MS Sans Serif"
    rb"SymbolArialTimes New RomanCourier{\colortbl\red0\green0\blue0"
    b"\r\n"
    rb"\par \pard\plain\f0\fs20\b\i\u\tab\tx"
)


def unpacked(content: bytes, uri: str) -> bytes:
    """The RTF: at most nine times as long as what is packed. Raises Damaged."""
    if len(content) < _HEADER.size:
        raise Damaged(f"{uri}: its text is cut off; save it again")
    _, size, kind, _ = _HEADER.unpack_from(content)
    if kind == _PLAIN:
        return content[_HEADER.size : _HEADER.size + size]
    if kind != _PACKED:
        raise Damaged(f"{uri}: its text is packed in no known way; save it again")
    return _inflated(content[_HEADER.size :])


def _inflated(packed: bytes) -> bytes:
    """2.2.2.1: a control byte's bits, lowest first, say of eight tokens which are references into the window."""
    window = bytearray(_PRESET.ljust(_WINDOW, b"\x00"))
    position = len(_PRESET)
    out = bytearray()
    at = 0
    while at < len(packed):
        control, at = packed[at], at + 1
        for bit in range(8):
            if not control >> bit & 1:
                piece, at = packed[at : at + 1], at + 1
            elif at + 1 < len(packed):
                offset, length = packed[at] << 4 | packed[at + 1] >> 4, (packed[at + 1] & 15) + 2
                at += 2
                if offset == position:  # how the end is marked
                    return bytes(out)
                gap = (position - offset) % _WINDOW  # a reference may run into what it is writing
                start = [window[(offset + step % gap) % _WINDOW] for step in range(length)]
                piece = bytes(start)
            else:
                return bytes(out)
            for byte in piece:
                window[position] = byte
                position = (position + 1) % _WINDOW
            out += piece
    return bytes(out)
