"""Other programs to compare with, and what they are compared on."""
