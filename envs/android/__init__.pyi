from .env import AndroidEnv as AndroidEnv
from .inside import WorldEnv as WorldEnv
from .json_action import (
    JSONAction as JSONAction,
    from_json_action as from_json_action,
    to_json_action as to_json_action,
)
from .world import PhoneWorld as PhoneWorld, State as State, UIElement as UIElement
