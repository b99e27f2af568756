"""Pages of allowed hosts as sources."""
