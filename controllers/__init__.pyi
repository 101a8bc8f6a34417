from .bounds import Escalate as Escalate
from .bounds import StopOn as StopOn
from .cascade import Cascade as Cascade
from .cascade import Limit as Limit
from .check import check_controller as check_controller
from .core import (
    Ask as Ask,
)
from .core import (
    Candidate as Candidate,
)
from .core import (
    Choose as Choose,
)
from .core import (
    ControlContext as ControlContext,
)
from .core import (
    Controller as Controller,
)
from .core import (
    Decision as Decision,
)
from .core import (
    Dispatch as Dispatch,
)
from .core import (
    HoldAttention as HoldAttention,
)
from .core import (
    MakePlan as MakePlan,
)
from .core import (
    Perform as Perform,
)
from .core import (
    Proceed as Proceed,
)
from .core import (
    Record as Record,
)
from .core import (
    Refuse as Refuse,
)
from .core import (
    Reminder as Reminder,
)
from .core import (
    Report as Report,
)
from .core import (
    Reported as Reported,
)
from .core import (
    Sample as Sample,
)
from .core import (
    SteerAttention as SteerAttention,
)
from .core import (
    Stop as Stop,
)
from .decompose import Decompose as Decompose
from .forest import Forest as Forest
from .guard import Guard as Guard
from .guard import Prohibition as Prohibition
from .guard import read_rules as read_rules
from .operations import OPERATIONS as OPERATIONS
from .operations import compute as compute
from .plan import Fact as Fact
from .plan import Plan as Plan
from .plan import Subtask as Subtask
from .plan_format import parse_plan as parse_plan
from .plan_format import plan_schema as plan_schema
from .presets import (
    PRESETS as PRESETS,
)
from .presets import (
    Preset as Preset,
)
from .presets import (
    controllers_for as controllers_for,
)
from .presets import (
    preset_sensors as preset_sensors,
)
from .profiles import HeadProfile as HeadProfile
from .recalibrate import Recalibrate as Recalibrate
from .reconsider import Reconsider as Reconsider
from .remind import Remind as Remind
from .steer import SetPoint as SetPoint
from .steer import Steer as Steer
from .tabu import Tabu as Tabu
