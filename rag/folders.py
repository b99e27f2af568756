"""Folders: made where they must be there, and told from the names of models on the hub."""

from contextlib import suppress
from pathlib import Path

from rag.errors import ModelNotReady, StoreNotReady


def model_folder(name: str, remedy: str) -> Path | None:
    """The folder that a model's name means, `~` expanded; None where there is none and the name may be a hub's.

    Raises ModelNotReady with this remedy for a name that only a folder can have, beginning with `.`, `/` or `~`: the
    libraries take it for a hub id and say so.
    """
    path = Path(name)
    with suppress(RuntimeError):  # ~someone who is not on this machine
        path = path.expanduser()
    if path.is_dir():
        return path
    if name.startswith((".", "~")) or path.is_absolute():
        raise ModelNotReady(f"there is no folder {name}; {remedy}")
    return None


def make_folder(folder: Path) -> None:
    """Make a folder, and those it lies in, unless it is there. Raises StoreNotReady."""
    try:
        folder.mkdir(parents=True, exist_ok=True)
    except OSError as error:
        raise StoreNotReady(f"the folder {folder.absolute()} cannot be made: {error.strerror}") from error
