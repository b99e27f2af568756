"""Local models: loading, prompting, and decoding many requests at once. What is imported here loads torch."""
