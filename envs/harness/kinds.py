"""The environments of this package, as ``pyproject.toml`` registers them. Loading this file imports none of them."""

from __future__ import annotations

from homeostat.envs.harness.environments import EnvKind

__all__ = ["AGENTDOJO", "ANDROID", "MINIWOB", "OFFICE", "PHONE", "RECORDING", "TOOLS"]

PHONE = EnvKind(
    constructor="homeostat.envs.phone.env:PhoneEnv",
    tasks="homeostat.envs.phone.env:task_names",
    task_kinds="homeostat.envs.phone.kinds:task_kind",
    default_suite="atomic",
    wrapper="homeostat.envs.phone.adversity:adverse",
    fixed={"task": None},
    reserved=frozenset({"goal", "rules", "max_steps", "render_mode"}),
    training_tasks="homeostat.envs.phone.other_goals:training_tasks",
    other_goals="homeostat.envs.phone.other_goals:other_goals",
)
"""The phone simulator."""

RECORDING = EnvKind(
    constructor="homeostat.envs.phone.recordings.env:RecordingEnv",
    tasks="homeostat.envs.phone.recordings.env:task_names",
    task_kinds="homeostat.envs.phone.recordings.env:task_kind",
    default_suite="recording",
    random_policy="homeostat.envs.phone.recordings.env:RecordingEnv.guess",
    reserved=frozenset({"task", "render_mode"}),
)
"""Questions about screen recordings."""

MINIWOB = EnvKind(
    constructor="homeostat.envs.miniwob.env:MiniWobEnv",
    tasks="homeostat.envs.miniwob.tasks:task_names",
    task_kinds="homeostat.envs.miniwob.tasks:task_kind",
    default_suite="miniwob",
    oracle="homeostat.envs.miniwob.policies:oracle_policy",
    defaults={"size": (144, 256)},  # the embedded model's screen
    reserved=frozenset({"task", "render_mode"}),
    seeds="homeostat.envs.miniwob.seeds:seeds_of",
)
"""The web pages of MiniWoB++, in a headless Chromium."""

ANDROID = EnvKind(
    constructor="homeostat.envs.android.env:AndroidEnv",
    tasks="homeostat.envs.android.env:task_names",
    task_kinds="homeostat.envs.android.env:task_kind",
    default_suite="android",
    reserved=frozenset({"goal", "rules", "check", "prepare", "render_mode"}),
)
"""A real Android device or emulator."""

OFFICE = EnvKind(
    constructor="homeostat.envs.office.env:OfficeEnv",
    tasks="homeostat.envs.office.tasks:task_names",
    task_kinds="homeostat.envs.office.tasks:task_kind",
    default_suite="office",
    wrapper="homeostat.envs.office.env:adverse",
    reserved=frozenset({"injected"}),
)
"""A simulated office: mail, calendar, notes, files and more, as tools."""

AGENTDOJO = EnvKind(
    constructor="homeostat.envs.agentdojo.env:AgentDojoEnv",
    tasks="homeostat.envs.agentdojo.env:task_names",
    task_kinds="homeostat.envs.agentdojo.env:task_kind",
    default_suite="agentdojo",
    wrapper="homeostat.envs.agentdojo.env:adverse",
    reserved=frozenset({"attack", "rate"}),
)
"""The suites of AgentDojo."""

TOOLS = EnvKind(
    constructor="homeostat.envs.tools.loading:tool_env",
    tasks="homeostat.envs.tools.loading:task_names",
)
"""Tools of your own: the functions of Python files, and MCP servers."""
