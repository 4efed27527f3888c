"""The review page: look at moments, correct them, and train on what was corrected."""
