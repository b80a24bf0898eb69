"""From labels to a release: train, evaluate, publish, retrain."""
