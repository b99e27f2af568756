"""One calm thread a process that folds changes into new index generations when that pays."""

import logging
import threading

from rag.app import App
from rag.store import collections as collection_store
from rag.store.collections import Collection

log = logging.getLogger(__name__)

PACE_S = 2.0  # between two looks


class Publisher:
    """Looks at every collection whose position has moved. Searches never wait for it: what it has not folded in yet
    is searched beside the index."""

    def __init__(self, app: App, pace_s: float = PACE_S) -> None:
        self._app = app
        self._pace_s = pace_s
        self._stop = threading.Event()
        self._seen: dict[int, int] = {}  # collection id → position at the last look
        self._thread = threading.Thread(target=self._run, name="publisher", daemon=True)

    def start(self) -> None:
        self._thread.start()

    def stop(self) -> None:
        """Return when the thread has ended, after the generation it may be writing."""
        self._stop.set()
        self._thread.join()

    def look(self) -> None:
        """Publish what is due, once. What fails is logged and tried again at the next change."""
        with self._app.database.read() as connection:
            found = collection_store.everything(connection)
        for collection in found:
            if self._stop.is_set():
                return
            if self._seen.get(collection.id) != collection.position:
                self._publish(collection)
                self._seen[collection.id] = collection.position

    def _publish(self, collection: Collection) -> None:
        try:
            generation = self._app.publish_due(collection)
        except Exception:
            log.exception("the index of %r could not be published; searches read its changes from SQL", collection.name)
            return
        if generation is not None:
            log.info("published generation %d of %r", generation, collection.name)

    def _run(self) -> None:
        while not self._stop.wait(self._pace_s):
            try:
                self.look()
            except Exception:
                log.exception("the collections could not be looked at; the next look is in %.0f s", self._pace_s)
