"""What a site asks of programs that read it (robots.txt, RFC 9309)."""

from dataclasses import dataclass
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from protego import Protego

MAX_BYTES = 512_000  # RFC 9309 2.5: at least 500 kibibytes are to be read; what stands behind is not
MAX_DELAY_S = 30.0  # a longer Crawl-delay is taken for this


@dataclass(frozen=True, slots=True)
class Robots:
    """The rules of one site for one program."""

    product: str  # the program's name as rules name it: its User-Agent up to the slash
    rules: "Protego | None" = None  # None: there are none, all is allowed

    def allows(self, url: str) -> bool:
        return self.rules is None or bool(self.rules.can_fetch(url, self.product))

    @property
    def delay_s(self) -> float:
        """Seconds to leave between two requests; 0 when the site does not say."""
        said = None if self.rules is None else self.rules.crawl_delay(self.product)
        return min(max(said or 0.0, 0.0), MAX_DELAY_S)


def read(content: bytes, product: str) -> Robots:
    """The rules in a robots.txt. Lines that are none are passed over, as the RFC has it."""
    from protego import Protego

    return Robots(product, Protego.parse(content[:MAX_BYTES].decode("utf-8-sig", "replace")))
