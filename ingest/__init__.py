"""Sources become chunks: pure text work, no model, no database, no web server."""
