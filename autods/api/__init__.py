"""The public functions: each takes plain numbers, arrays and paths, and is the command of the same name."""
