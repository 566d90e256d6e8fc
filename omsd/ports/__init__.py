"""Protocols only: what the core needs from outside."""
