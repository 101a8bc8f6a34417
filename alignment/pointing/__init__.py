"""V2P: a head that points by attention."""
