"""The version, by itself, so that what is written with it need not import what the package offers."""

__version__ = "0.1.0"
