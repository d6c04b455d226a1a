"""What is normal for each account: state that moves forward one transaction at a time."""
