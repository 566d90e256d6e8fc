"""Pure rules: stdlib only, no async, no clock, no random, no files, no logging."""
