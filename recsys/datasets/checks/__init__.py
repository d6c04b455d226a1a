"""What a log may be like: validation, cleaning, and the checks of the newest day."""
