"""The one-click ways through the house: from a movie to a run folder."""
