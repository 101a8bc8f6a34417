from .bounds import Escalate as Escalate, StopOn as StopOn
from .cascade import Cascade as Cascade, Limit as Limit
from .check import check_controller as check_controller
from .context import (
    Candidate as Candidate,
    ControlContext as ControlContext,
    Record as Record,
    Reported as Reported,
)
from .contracts import (
    Confirming as Confirming,
    Controller as Controller,
    Demanding as Demanding,
    ModelReadingRules as ModelReadingRules,
    Planning as Planning,
    ReadingRules as ReadingRules,
    Refusing as Refusing,
)
from .decisions import (
    Ask as Ask,
    Choose as Choose,
    Confirm as Confirm,
    Decision as Decision,
    Dispatch as Dispatch,
    HoldAttention as HoldAttention,
    MakePlan as MakePlan,
    Perform as Perform,
    Proceed as Proceed,
    Refuse as Refuse,
    Reminder as Reminder,
    Report as Report,
    Sample as Sample,
    SteerAttention as SteerAttention,
    Stop as Stop,
)
from .decompose import Decompose as Decompose
from .forest import Forest as Forest
from .guard import Guard as Guard, Prohibition as Prohibition, read_rules as read_rules
from .model_rules import ModelRule as ModelRule, parse_model_rule as parse_model_rule, rule_schema as rule_schema
from .operations import OPERATIONS as OPERATIONS, compute as compute
from .plan import Fact as Fact, Plan as Plan, Subtask as Subtask
from .plan_format import parse_plan as parse_plan, plan_schema as plan_schema
from .presets import PRESETS as PRESETS, Preset as Preset
from .profiles import HeadProfile as HeadProfile
from .pull import Pull as Pull
from .recalibrate import Recalibrate as Recalibrate
from .reconsider import Reconsider as Reconsider
from .registry import (
    controller_names as controller_names,
    controllers_for as controllers_for,
    preset_sensors as preset_sensors,
)
from .remind import Remind as Remind
from .steer import SetPoint as SetPoint, Steer as Steer
from .tabu import Tabu as Tabu
