from .answering import Answered as Answered, answer_chat as answer_chat
from .langchain_middleware import WatchMiddleware as WatchMiddleware
from .langchain_model import WatchedChatModel as WatchedChatModel
from .langgraph_node import WatchedNode as WatchedNode
from .pydantic_ai_model import PydanticAIModel as PydanticAIModel
from .smolagents_model import SmolagentsModel as SmolagentsModel, StepReadings as StepReadings
