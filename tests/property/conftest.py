"""Properties are judged by what holds, never by how long an example took on a busy machine."""

from __future__ import annotations

from hypothesis import settings

settings.register_profile("poolmaker", deadline=None, print_blob=True)
settings.load_profile("poolmaker")
