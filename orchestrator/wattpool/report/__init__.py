"""What a community's days came to, for people: one report for all, and a bill for each member."""
