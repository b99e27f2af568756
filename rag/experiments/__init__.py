"""Configurations held against each other: planned, run, judged blind, compared, and a logged answer run again."""
