"""Training data of the embedded model: episodes, invented apps, recordings, web pages, and how they are packed."""
