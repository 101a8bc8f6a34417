"""Doubles for your own tests: ``ScriptedModel`` stands in for a model and says given lines."""

from homeostat.agent.testing import ScriptedModel

__all__ = ["ScriptedModel"]
