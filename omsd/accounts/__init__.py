"""The files that say who may call: users with their projects and keys, and the key of tokens."""
