from .browser import find_binaries as find_binaries
from .env import MiniWobEnv as MiniWobEnv
from .oracle import ORACLES as ORACLES
from .policies import (
    Played as Played,
)
from .policies import (
    Policy as Policy,
)
from .policies import (
    RandomPolicy as RandomPolicy,
)
from .policies import (
    oracle_policy as oracle_policy,
)
from .policies import (
    play as play,
)
from .seeds import SEEDS as SEEDS
from .tasks import CLICK as CLICK
from .tasks import task_names as task_names
