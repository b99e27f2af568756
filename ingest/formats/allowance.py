"""What all containers within one file may unpack together, however they are nested: members and bytes."""

from dataclasses import dataclass

from ingest.errors import TooLarge

MAX_MEMBERS = 10_000
"""Members of one outermost archive, those of the archives in it included, folders and junk too."""

MAX_UNPACKED = 256 * 1024 * 1024
"""Bytes that one outermost archive may unpack to, what the archives in it unpack to included."""

MAX_MEMBER = 64 * 1024 * 1024
"""Bytes of a single member."""


@dataclass(slots=True)
class Allowance:
    """What is left of the limits. One value goes down with the sources of one outermost file and is used up by all."""

    members: int = MAX_MEMBERS
    unpacked: int = MAX_UNPACKED  # bytes

    @property
    def spent(self) -> bool:
        return self.members < 0 or self.unpacked < 0

    def count(self, members: int, uri: str) -> None:
        """Use up some members. Raises TooLarge; from then on everything is `spent`."""
        self.members -= members
        if self.members < 0:
            raise TooLarge(
                f"{uri}: there are over {MAX_MEMBERS:,} members in this archive and those around it; split it"
            )

    def unpack(self, size: int, uri: str) -> None:
        """Use up some bytes. Raises TooLarge; from then on everything is `spent`."""
        self.unpacked -= size
        if self.unpacked < 0:
            raise TooLarge(
                f"{uri}: this archive and those around it unpack to over {MAX_UNPACKED:,} bytes; "
                "split it, or add its contents unpacked"
            )
