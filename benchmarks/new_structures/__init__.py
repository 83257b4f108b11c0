"""Structures that the public labels lack, of each kind."""
