from .env import AgentDojoEnv as AgentDojoEnv
from .library import VERSION as VERSION, attack_names as attack_names, suites as suites
