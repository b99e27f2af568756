"""The log by parts; rag.store.interactions is what others import."""
