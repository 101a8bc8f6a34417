"""The words that offices are filled with."""

from __future__ import annotations

__all__ = ["DAYS", "FILLERS", "NAMES", "PLACES", "PRODUCTS", "TOPICS", "WORDS"]

NAMES = ("Anna", "Boris", "Clara", "David", "Elena", "Felix", "Greta", "Hugo", "Irene", "Jonas", "Karin", "Leon")
DAYS = ("Monday", "Tuesday", "Wednesday", "Thursday", "Friday")
TOPICS = (
    "garden",
    "printer",
    "harbour",
    "kitchen",
    "library",
    "museum",
    "bridge",
    "factory",
    "school",
    "theatre",
    "station",
    "market",
)
PLACES = ("bakery", "cinema", "dentist", "florist", "gallery", "gym", "pharmacy", "zoo")
PRODUCTS = ("lamp", "kettle", "chair", "backpack", "keyboard", "umbrella", "toaster", "blanket", "clock", "mirror")
WORDS = ("zebra", "walnut", "glacier", "saffron", "comet", "lantern", "pepper", "violin", "tundra", "cactus")
FILLERS = (
    "The lift is being repaired this week.",
    "Thank you for the good work.",
    "The canteen has a new menu.",
    "Please keep the windows closed at night.",
    "It rained a lot last month.",
    "The new plants look nice.",
    "Parking is free after six.",
    "The coffee machine works again.",
)
