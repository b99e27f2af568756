"""The HTTP face: `application.create` makes the ASGI application, `serve.serve` runs it.

Nothing is imported here, so that `rag.client` can read `models` without loading a web framework.
"""
