from .reading import read_message as read_message, read_turn as read_turn
from .schema import answer_tool as answer_tool, calls_schema as calls_schema
