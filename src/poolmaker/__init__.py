"""Poolmaker: pooled market making whose books can be checked by anybody."""

__version__ = "0.1.0"
