"""A smolagents agent on a local model: every step has the readings of its answer.

    python examples/smolagents_agent.py [MODEL]

It needs the extra ``frameworks``.
"""

import sys

from smolagents import ToolCallingAgent, tool

from homeostat import Agent, TransformersModel
from homeostat.agent.frameworks import SmolagentsModel, StepReadings
from homeostat.controllers import Guard
from homeostat.sensors import AttentionDrift, Confidence


@tool
def get_weather(city: str) -> str:
    """Tells the weather in a city.

    Args:
        city: The city's name.
    """
    return f"It is raining in {city}."


name = sys.argv[1] if len(sys.argv) > 1 else "Qwen/Qwen2.5-Coder-0.5B-Instruct"
ours = Agent(TransformersModel.load(name), [AttentionDrift(), Confidence()], [Guard()])
readings = StepReadings()
model = SmolagentsModel(ours, rules=["never send a message"], max_new_tokens=60)
agent = ToolCallingAgent([get_weather], model=model, step_callbacks=[readings], verbosity_level=0, max_steps=4)
print("answer:", agent.run("What is the weather in Paris?"))
for number, step in readings.steps.items():
    values = ", ".join(f"{reading['sensor']} {reading['value']:.3f}" for reading in step["readings"])
    masses = ", ".join(f"{label} {mass:.1%}" for label, mass in step["mass"].items())
    print(f"step {number}: {step['finish']}; {values}; attention: {masses}")
