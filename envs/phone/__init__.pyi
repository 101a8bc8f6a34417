from .device import Device as Device
from .env import PhoneEnv as PhoneEnv, task_names as task_names
from .tasks import TEMPLATES as TEMPLATES
