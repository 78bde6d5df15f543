"""Run folders: record, finished steps and pieces, what results were made from, and who is at work there."""
