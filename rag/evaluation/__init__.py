"""Judged questions: metrics and how sure they are, runs, what is tuned or held to bounds by them, and more of them."""
