"""Finds a policy by its name."""

from __future__ import annotations

from homeostat.agent.memory.policies import POLICIES, Policy
from homeostat.errors import UnknownName

__all__ = ["policy_named"]

_KVPRESS = "kvpress:"


def policy_named(name: str) -> Policy:
    """Finds a policy.

    Args:
        name: A name of :data:`~homeostat.agent.memory.policies.POLICIES`, or ``kvpress:`` and a scorer of kvpress.

    Returns:
        The policy.

    Raises:
        UnknownName: There is no such policy.
        ConfigError: The scorer can't be used, or kvpress is not installed.
    """
    if name.startswith(_KVPRESS):
        from homeostat.agent.memory.kvpress_scores import kvpress_policy

        return kvpress_policy(name.removeprefix(_KVPRESS))
    if name not in POLICIES:
        raise UnknownName.of("memory policy", name, POLICIES)
    return POLICIES[name]
