from .agent.agent import Agent as Agent
from .agent.models.transformers_model import TransformersModel as TransformersModel
from .errors import HomeostatError as HomeostatError
from .sensors.probe.probe import watch as watch
