"""`rag serve`: the HTTP API."""

import click

from rag.cli import options


@click.command("serve")
@click.option("--host", type=options.TEXT, help="Address to listen on.  [default: 127.0.0.1]")
@click.option("--port", type=click.IntRange(0, 65535), help="Port to listen on.  [default: 8000]")
@click.option("--workers", type=click.IntRange(1, 64), help="Processes that serve.  [default: 1]")
@options.common
def command(host: str | None, port: int | None, workers: int | None) -> None:
    """Serve the HTTP API.

    Until `rag token create` made a token it listens on loopback only.
    """
    from rag.api.serve import serve

    serve(options.settings(host=host, port=port, workers=workers))
