"""What the log tells about the whole: figures over time, drift of the questions, and what to write next."""
