from .agent.agent import Agent as Agent
from .agent.models.transformers_model import TransformersModel as TransformersModel
from .agent.spec import AgentSpec as AgentSpec
from .errors import (
    ActionError as ActionError,
    CallInterrupted as CallInterrupted,
    CheckpointError as CheckpointError,
    ComponentError as ComponentError,
    ConfigError as ConfigError,
    EnvError as EnvError,
    EnvTimeout as EnvTimeout,
    HomeostatError as HomeostatError,
    HubError as HubError,
    ModelError as ModelError,
    OutOfMemory as OutOfMemory,
    PlanError as PlanError,
    ProbeError as ProbeError,
    PromptTooLong as PromptTooLong,
    TraceError as TraceError,
    UnknownName as UnknownName,
    UnparsableAction as UnparsableAction,
)
from .sensors.probe.watching import watch as watch
from .version import __version__ as __version__
