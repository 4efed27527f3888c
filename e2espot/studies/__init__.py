"""What design choices and corrections are worth, measured on rendered matches."""
