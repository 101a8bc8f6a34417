from .reading import read_turn as read_turn
from .schema import calls_schema as calls_schema
