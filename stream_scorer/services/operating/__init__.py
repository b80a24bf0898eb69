"""What operators run: topics, doctor, erase, replay, score."""
