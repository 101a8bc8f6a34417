"""Labelled chats: messages whose parts carry span labels, rendered through any chat template."""
