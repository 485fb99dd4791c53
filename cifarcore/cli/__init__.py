"""The commands. Imports torch only inside the commands that need it."""
