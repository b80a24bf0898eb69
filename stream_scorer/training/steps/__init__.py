"""Steps of joint training: the rows on the device, the optimiser, and the replay of a recorded step on a GPU."""
