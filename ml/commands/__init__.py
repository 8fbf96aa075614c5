"""One file a command of `plainsight-ml`; what takes long to load is imported when it runs."""
