"""Generated from proto/omsd/v1 by scripts/generate_proto.py; never edited."""
