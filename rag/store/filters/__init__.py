"""Filters over documents: a tree of tests, answered as one SQL condition or by columns in memory."""
