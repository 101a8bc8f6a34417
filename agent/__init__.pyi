from .agent import Agent as Agent
from .android_world import AndroidWorldAgent as AndroidWorldAgent
from .attention_record import AttentionRecord as AttentionRecord
from .events import Event as Event
from .loop.episode import Episode as Episode
from .loop.limits import LoopLimits as LoopLimits
from .models.chat_model import ChatModel as ChatModel
from .models.loading import nano_path as nano_path
from .models.protocol import Model as Model
from .models.transformers_model import TransformersModel as TransformersModel
from .prompts import TEXT as TEXT, VERBOSE as VERBOSE, PromptStyle as PromptStyle
from .run import Run as Run
from .simulated_user import SimulatedUser as SimulatedUser
from .spec import AgentSpec as AgentSpec
from .trace import Trace as Trace, read_trace as read_trace
from .turn_readings import TurnReadings as TurnReadings, readings_by_turn as readings_by_turn, turn_table as turn_table
