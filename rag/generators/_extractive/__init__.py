"""What the extractive generator is made of: what is asked, what sentences have to do with it, how they are quoted."""
