"""What the operating system gives: child processes, files, the environment."""
