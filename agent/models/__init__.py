"""Models: the contract, the white box over transformers, batched generation and loading."""
