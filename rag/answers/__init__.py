"""What stands around an answer: what is searched for, what is too little, what is dangerous, and how it is told."""
