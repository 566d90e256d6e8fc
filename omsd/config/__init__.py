"""Frozen settings of the daemon: types, reading, checking, writing."""

from omsd.config.dump import dump_settings
from omsd.config.load import load_settings
from omsd.config.settings import EndpointSettings, Settings
from omsd.config.values import GIB, MIB, ConfigError, is_local

__all__ = [
    "GIB",
    "MIB",
    "ConfigError",
    "EndpointSettings",
    "Settings",
    "dump_settings",
    "is_local",
    "load_settings",
]
