"""The probe on a model of yours: how much attention each part of a prompt gets, token by token.

    python examples/watch_any_model.py

The model here is a tiny random Llama, so that the example needs no download; put your own in its place.
"""

import torch
from transformers import LlamaConfig, LlamaForCausalLM

from homeostat.sensors import Spans, watch

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
    read = probe.result()

for label in read.labels:
    by_token = read.of(label).mean(axis=(1, 2))  # (tokens, layers, heads) -> (tokens,)
    print(f"{label:8}", " ".join(f"{share:.2f}" for share in by_token))
