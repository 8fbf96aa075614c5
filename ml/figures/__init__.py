"""The figures of a run: functions of the rows of its tables, in one style."""
