"""A pydantic-ai agent on a local model: every response has the readings of its answer.

    python examples/pydantic_ai_agent.py [MODEL]

It needs the extra ``frameworks``.
"""

import sys

import pydantic_ai

from homeostat import Agent, TransformersModel
from homeostat.agent.frameworks import PydanticAIModel
from homeostat.controllers import Guard
from homeostat.sensors import AttentionDrift, Confidence


def get_weather(city: str) -> str:
    """Tells the weather in a city.

    Args:
        city: The city's name.
    """
    return f"It is raining in {city}."


name = sys.argv[1] if len(sys.argv) > 1 else "Qwen/Qwen2.5-Coder-0.5B-Instruct"
ours = Agent(TransformersModel.load(name), [AttentionDrift(), Confidence()], [Guard()])
model = PydanticAIModel(ours, rules=["never send a message"], settings={"max_tokens": 60})
result = pydantic_ai.Agent(model, tools=[get_weather]).run_sync("What is the weather in Paris?")
print("answer:", result.output)
for message in result.all_messages():
    if message.kind == "response":
        measured = message.provider_details["homeostat"]
        values = ", ".join(f"{reading['sensor']} {reading['value']:.3f}" for reading in measured["readings"])
        masses = ", ".join(f"{label} {mass:.1%}" for label, mass in measured["mass"].items())
        print(f"{measured['finish']}; {values}; attention: {masses}")
