from .chat import QUIT as QUIT, ChatEnv as ChatEnv, User as User
from .env import ToolEnv as ToolEnv
from .mcp_server import McpServer as McpServer
from .tasks import Outcome as Outcome, ToolTask as ToolTask
from .tool import Tool as Tool, ToolSource as ToolSource, tool as tool
