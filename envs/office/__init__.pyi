from .env import OfficeEnv as OfficeEnv
from .tasks import task_names as task_names
