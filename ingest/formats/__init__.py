"""What the parsers of several formats share, and what one format needs beside its parser."""
