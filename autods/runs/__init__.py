"""Run folders: their record, finished steps and pieces, what a result was made from, and who is at work there."""
