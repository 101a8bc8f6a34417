from .browser import find_binaries as find_binaries
from .env import MiniWobEnv as MiniWobEnv
from .oracle import ORACLES as ORACLES
from .policies import (
    Played as Played,
    Policy as Policy,
    RandomPolicy as RandomPolicy,
    oracle_policy as oracle_policy,
    play as play,
)
from .seeds import SEEDS as SEEDS
from .tasks import CLICK as CLICK, task_names as task_names
