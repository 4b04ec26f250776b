"""Reinforcement learning: grid world, Q-learning, REINFORCE, DQN, PPO and Pong will live here.

This page is the folder's plugin face: its environments will be registered here (`register_environments`).
"""
