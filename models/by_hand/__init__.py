"""The models once more in plain NumPy, with backward passes derived by hand: what the Tensor does, spelled out."""
