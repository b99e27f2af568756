"""Which language a text is in, and where its sentences and letters end."""
