"""The REST API of the documented service for callers written against it: a translation, without rules of its own."""
