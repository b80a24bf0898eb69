"""What operators run: topics, doctor, verify, erase, replay."""
