"""A pointer head, which reads a point on the screen from attention over image patches."""
