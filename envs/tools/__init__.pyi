from .env import ToolEnv as ToolEnv
from .tasks import Outcome as Outcome, ToolTask as ToolTask
from .tool import Tool as Tool, tool as tool
