"""What is told to others behind an answer's back: webhooks and traces, queued, never in an answer's way."""
