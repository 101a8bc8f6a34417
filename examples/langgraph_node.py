"""A LangGraph graph whose model node is watched: readings and decisions are in the graph's state.

    python examples/langgraph_node.py [MODEL]

A tool call that the rule forbids does not leave the node: the model is told the reason and answers again. It needs the
extra ``frameworks``.
"""

import sys

from langgraph.graph import END, START, StateGraph
from langgraph.prebuilt import ToolNode, tools_condition

from homeostat import Agent, TransformersModel
from homeostat.agent.frameworks import WatchedNode
from homeostat.agent.frameworks.langgraph_node import WatchedMessages
from homeostat.controllers import Guard
from homeostat.sensors import AttentionDrift, Confidence


def get_weather(city: str) -> str:
    """Tells the weather in a city.

    Args:
        city: The city's name.
    """
    return f"It is raining in {city}."


name = sys.argv[1] if len(sys.argv) > 1 else "Qwen/Qwen2.5-Coder-0.5B-Instruct"
agent = Agent(TransformersModel.load(name), [AttentionDrift(), Confidence()], [Guard()]).limited(max_new_tokens=60)
graph = StateGraph(WatchedMessages)
graph.add_node("model", WatchedNode(agent, tools=[get_weather], rules=["never send a message"]))
graph.add_node("tools", ToolNode([get_weather]))
graph.add_edge(START, "model")
graph.add_conditional_edges("model", tools_condition, ["tools", END])
graph.add_edge("tools", "model")
done = graph.compile().invoke({"messages": [("user", "What is the weather in Paris?")]}, {"recursion_limit": 40})
for message in done["messages"]:
    print(f"{message.type:6} {message.text or message.tool_calls}")
for record in done["homeostat"]:
    masses = ", ".join(f"{label} {mass:.1%}" for label, mass in record["mass"].items())
    print(f"{record['finish']} after {record['attempts']} attempts; attention: {masses}")
