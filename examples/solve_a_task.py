"""The included model solves a task on the simulated phone, and every event is printed when it happens.

    python examples/solve_a_task.py

The agent is the one that ``homeostat run`` uses without options: ``homeostat/nano`` with its planner, its calibrated
sensors and the default controllers. To use another vision-language model, pass its Hugging Face name to
``Agent.default``. The script needs no network and no GPU.
"""

from homeostat import Agent
from homeostat.envs.phone import PhoneEnv

agent = Agent.default("homeostat/nano")
env = PhoneEnv(split="test")
task = env.reset_task("notes_add", seed=1)
print(f"goal: {task.goal}")
run = agent.start(task, env)
for event in run:
    print(event)
print(f"success: {run.result.success}, after {run.result.steps} steps")
