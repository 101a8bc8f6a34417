"""The command lines of alignment: one file a command."""
