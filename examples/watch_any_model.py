"""The attention probe on a model of your own: how much attention each part of the prompt gets, token by token.

    python examples/watch_any_model.py

Here the model is a tiny Llama with random weights, so that nothing has to be downloaded. Replace it with any Hugging
Face model that you have loaded. The script states the token ranges of the spans itself. If you pass the tokenizer as
well, ``watch(model, tokenizer)`` finds the ranges of a labelled chat, as the README shows.
"""

import torch
from transformers import LlamaConfig, LlamaForCausalLM

from homeostat import watch
from homeostat.sensors import Spans

torch.manual_seed(0)
config = LlamaConfig(
    vocab_size=100,
    hidden_size=64,
    intermediate_size=128,
    num_hidden_layers=4,
    num_attention_heads=4,
    num_key_value_heads=2,
    eos_token_id=None,
    pad_token_id=0,
)
model = LlamaForCausalLM(config).eval()
prompt = torch.randint(1, 100, (1, 40))

with watch(model) as probe:
    probe.start(Spans({"goal": [(2, 12)], "data": [(12, 38)]}, length=40))
    model.generate(prompt, attention_mask=torch.ones_like(prompt), max_new_tokens=6, do_sample=False)
    masses = probe.result()

print("label    mean attention mass of each generated token")
for label in masses.labels:
    by_token = masses.of(label).mean(axis=(1, 2))  # (tokens, layers, heads) -> (tokens,)
    print(f"{label:8}", " ".join(f"{mass:.2f}" for mass in by_token))
