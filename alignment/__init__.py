"""Offline alignment: diagnose, localize, align, mine preference pairs, and ground."""
