"""omsd: a self-hosted object storage migration service."""

__version__ = "0.1.0"
