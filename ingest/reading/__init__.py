"""Sources are read by child processes, within limits of memory, time and output."""
