"""Read models: what the console, the command line and the API show, read in one go."""
