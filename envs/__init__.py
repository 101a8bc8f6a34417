"""Environments: phone (and, later, browser and Android), tasks and their checks. Knows no model."""
