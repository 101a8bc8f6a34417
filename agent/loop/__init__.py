"""The control loop: its state, its nodes, its graph and its checkpoints."""
