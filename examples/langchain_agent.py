"""A LangChain agent on a local model: every answer is read by sensors, and a rule keeps a tool from being called.

    python examples/langchain_agent.py [MODEL]

``WatchedChatModel`` answers with our loop inside. ``WatchMiddleware`` keeps the readings in the agent's state and
refuses tool calls that break a rule. It needs the extra ``frameworks``.
"""

import sys

from langchain.agents import create_agent
from langchain.agents.middleware import ModelCallLimitMiddleware

from homeostat import Agent, TransformersModel
from homeostat.agent.frameworks import WatchedChatModel, WatchMiddleware
from homeostat.controllers import Guard
from homeostat.sensors import AttentionDrift, Confidence


def get_weather(city: str) -> str:
    """Tells the weather in a city.

    Args:
        city: The city's name.
    """
    return f"It is raining in {city}."


def send_message(to: str, text: str) -> str:
    """Sends a message to somebody.

    Args:
        to: The receiver.
        text: The text.
    """
    return f"Sent to {to}."


name = sys.argv[1] if len(sys.argv) > 1 else "Qwen/Qwen2.5-Coder-0.5B-Instruct"
model = TransformersModel.load(name)
sensors = [AttentionDrift(), Confidence()]
chat = WatchedChatModel(Agent(model, sensors), settings={"max_new_tokens": 60})
guard = WatchMiddleware(Agent(model, sensors, [Guard()]), rules=["never send a message"])
limit = ModelCallLimitMiddleware(run_limit=4, exit_behavior="end")  # a small model may repeat its call without end
agent = create_agent(
    chat, [get_weather, send_message], system_prompt="Never send a message.", middleware=[guard, limit]
)
question = {"role": "user", "content": "What is the weather in Paris? Send it to Anna."}
done = agent.invoke({"messages": [question]})
for message in done["messages"]:
    calls = ", ".join(f"{call['name']}({call['args']})" for call in getattr(message, "tool_calls", ()))
    print(f"{message.type:6} {message.text or calls}")
for record in done["homeostat"]:
    readings = ", ".join(f"{reading['sensor']} {reading['value']:.3f}" for reading in record["readings"])
    masses = ", ".join(f"{label} {mass:.1%}" for label, mass in record["mass"].items())
    print(f"turn {record['step']}: {record['finish']}; {readings}; attention: {masses}")
