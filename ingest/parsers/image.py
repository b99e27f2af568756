"""Images: the text in them, by OCR, a page a frame; without tesseract they say what to install."""

import io
import warnings
from collections.abc import Iterator
from typing import TYPE_CHECKING

from ingest.errors import Damaged, Empty, TooLarge, Unsupported
from ingest.formats import ocr
from ingest.types import Block, Failed, Parsed, Source

if TYPE_CHECKING:
    from PIL.Image import Image

MEDIA_TYPES = ("image/png", "image/jpeg", "image/gif", "image/tiff", "image/webp", "image/bmp")
SUFFIXES = (".png", ".jpg", ".jpeg", ".gif", ".tif", ".tiff", ".webp", ".bmp")

MAX_FRAMES = 100  # of a TIFF: a fax or a scan of many pages
_DECODERS = ("PNG", "JPEG", "GIF", "TIFF", "WEBP", "BMP")  # the library has sixty more, each a way in
_SMALL = 1000  # pixels: below this width letters are often too small for OCR, the image is doubled
_LARGE = 5000  # pixels: more on a side than this takes time and shows no more


def parse(source: Source) -> Iterator[Parsed | Failed]:
    """One document. Only a TIFF has several pages; of a moving picture the first frame is read.

    Raises Unsupported without tesseract, Empty when no text is seen, TooLarge above ocr.MAX_PIXELS or MAX_FRAMES.
    """
    from PIL import Image, UnidentifiedImageError

    if not source.content.strip():
        raise Empty(f"{source.uri}: the file is empty; leave it out, or replace it by a version with text")
    if not ocr.available():
        raise Unsupported(f"{source.uri}: text in an image needs OCR; {ocr.INSTALL} and add it again")
    try:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")  # of sizes, which are looked at below, and of odd camera data
            with Image.open(io.BytesIO(source.content), formats=_DECODERS) as image:
                yield _read(source, image)
    except Image.DecompressionBombError as error:
        raise _too_large(source.uri, "over a hundred million") from error
    except UnidentifiedImageError as error:
        raise Damaged(
            f"{source.uri}: it is no {source.media_type} file; open it in a viewer and save it again"
        ) from error
    except (OSError, SyntaxError, ValueError, EOFError) as error:
        raise Damaged(
            f"{source.uri}: it is cut off or damaged ({error}); open it in a viewer and save it again"
        ) from error


def _read(source: Source, image: "Image") -> Parsed:
    frames = getattr(image, "n_frames", 1) if image.format == "TIFF" else 1
    if frames > MAX_FRAMES:
        raise TooLarge(f"{source.uri}: {frames:,} pages, over the limit of {MAX_FRAMES}; divide it")
    blocks: list[Block] = []
    sure: list[float] = []
    for number in range(frames):
        if frames > 1:
            image.seek(number)
        if image.width * image.height > ocr.MAX_PIXELS:
            raise _too_large(source.uri, f"{image.width * image.height:,}")
        found = ocr.recognise(_grey(image), source.uri)
        page = number + 1 if frames > 1 else None
        blocks.extend(Block("paragraph", text, page=page) for text in found.paragraphs)
        if found.paragraphs:
            sure.append(found.confidence)
    if not blocks:
        raise Empty(f"{source.uri}: OCR sees no text in it; leave it out, or scan it again, larger and sharper")
    about = {"ocr_confidence": round(sum(sure) / len(sure), 1)}
    return Parsed(blocks, metadata=about | {"pages": frames} if frames > 1 else about)


def _too_large(uri: str, pixels: str) -> TooLarge:
    return TooLarge(f"{uri}: {pixels} pixels, over the limit of {ocr.MAX_PIXELS:,}; save it smaller")


def _grey(image: "Image") -> bytes:
    """The frame upright, on white, in greys and of a size that can be read, as PGM."""
    from PIL import Image, ImageOps

    image.draft("L", (_LARGE, _LARGE))  # a JPEG is decoded smaller at once; nothing for the others
    upright = ImageOps.exif_transpose(image)
    if upright.has_transparency_data:
        shown = upright.convert("RGBA")
        white = Image.new("RGBA", shown.size, "white")
        white.alpha_composite(shown)
        upright = white
    grey = upright.convert("L")
    if max(grey.size) > _LARGE:
        grey.thumbnail((_LARGE, _LARGE))
    elif grey.width < _SMALL and grey.height < _LARGE // 2:
        grey = grey.resize((grey.width * 2, grey.height * 2), Image.Resampling.LANCZOS)
    return b"P5 %d %d 255\n" % grey.size + grey.tobytes()
