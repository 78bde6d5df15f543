"""What other programs load of ours."""
