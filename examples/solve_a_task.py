"""The embedded model solves a task on the phone, and every event is printed as it happens.

python examples/solve_a_task.py
"""

from homeostat.agent import Agent, TransformersModel
from homeostat.controllers import Remind
from homeostat.envs.phone import PhoneEnv
from homeostat.sensors import AttentionDrift, Confidence

env = PhoneEnv(split="test")
agent = Agent(TransformersModel.load("homeostat/nano"), [AttentionDrift(), Confidence()], [Remind()])
task = env.reset_task("notes_add", seed=1)
print(f"goal: {task.goal}")
for event in agent.start(task, env):
    print(event)
