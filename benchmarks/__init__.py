"""What is measured, how, and against which bounds."""
