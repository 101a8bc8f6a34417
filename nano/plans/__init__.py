"""Training data of the embedded planner: long goals and their typed plans."""
