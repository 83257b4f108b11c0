"""Structures in and out of files."""
