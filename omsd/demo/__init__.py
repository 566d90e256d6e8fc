"""The main job end to end on a real S3 server, for a newcomer to watch; also what `make demo` runs."""
