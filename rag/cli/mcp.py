"""`rag mcp`: the tools for assistants."""

import click

from rag.cli import options


@click.command("mcp")
@click.option(
    "--http", is_flag=True, help="Serve them over HTTP, at /mcp, rather than to the program that started this."
)
@click.option("--host", type=options.TEXT, help="With --http: address to listen on.  [default: 127.0.0.1]")
@click.option("--port", type=click.IntRange(0, 65535), help="With --http: port to listen on.  [default: 8000]")
@options.common
def command(http: bool, host: str | None, port: int | None) -> None:
    """Let an assistant search, ask and read, by the Model Context Protocol.

    An editor or a chat program starts this and speaks with it over standard input and output; it sees what the command
    line sees. With --http the tokens of `rag token create` say who asks; `rag serve` has the same tools at /mcp.
    """
    from rag.api.mcp import require, run_stdio

    require()
    if http:
        from rag.api.serve import serve

        chosen = options.settings(host=host, port=port, job_workers=0)
        serve(chosen, factory="rag.api.serve:tools_worker", at="tools for assistants: /mcp")
        return
    if host is not None or port is not None:
        raise click.UsageError("--host and --port go with --http")
    with options.opened(options.settings()) as app:
        run_stdio(app)
