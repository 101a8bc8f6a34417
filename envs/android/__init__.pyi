from .env import AndroidEnv as AndroidEnv
from .inside import WorldEnv as WorldEnv
from .json_action import (
    JSONAction as JSONAction,
)
from .json_action import (
    from_json_action as from_json_action,
)
from .json_action import (
    to_json_action as to_json_action,
)
from .world import PhoneWorld as PhoneWorld
from .world import State as State
from .world import UIElement as UIElement
