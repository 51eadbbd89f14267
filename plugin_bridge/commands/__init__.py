"""The commands of ``stembridge``, one file for each subject; what they need is imported when they run."""
