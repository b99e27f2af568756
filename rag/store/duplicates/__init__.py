"""Texts that say the same: found by digest, MinHash and mean vector, decided on by policies, told and taken back."""
