"""Moves bytes. Gets open stores handed in; knows no task table."""
