"""What users' own tests need: a model that is a function. More comes with the simulation."""

from __future__ import annotations

from standpipe.drivers.models.scripted import ScriptedModel

__all__ = ["ScriptedModel"]
