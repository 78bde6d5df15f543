"""The settings of the commands: typed, composed by Hydra, and turned into the settings of the pipelines."""
