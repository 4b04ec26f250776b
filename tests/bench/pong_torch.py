"""The PPO of the project pong, and its twin in torch: the same network, games, settings and loop. Steps per second.

    python tests/bench/pong_torch.py --seconds 20 --pairs 4

Both play and learn in turns, each time in a process of its own, so that neither's threads are in the other's way. The
ratio is the median of the pairs'.
"""

from __future__ import annotations

import argparse
import json
import os
import subprocess
import sys
import time
from statistics import median

import numpy as np
import torch
import torch.nn.functional as F
from torch import nn

import tinygrad_edu as tg
from tinygrad_edu.rl import actor_critic, ppo
from tinygrad_edu.rl.pong import ACTIONS, SHAPE, PongVector
from tinygrad_edu.scripts.ch11_pong import Args, ppo_settings


class CNNActorCritic(nn.Module):
    """See `tinygrad_edu.rl.actor_critic`."""

    def __init__(self, width: int = 128) -> None:
        super().__init__()
        self.conv1 = nn.Conv2d(SHAPE[0], 16, 5, stride=3)
        self.conv2 = nn.Conv2d(16, 32, 3, stride=2)
        rows, columns = (((side - 5) // 3 - 2) // 2 + 1 for side in SHAPE[1:])
        self.fc = nn.Linear(32 * rows * columns, width)
        self.actor = nn.Linear(width, len(ACTIONS))
        self.critic = nn.Linear(width, 1)
        gains = {"actor": 0.01, "critic": 1.0}
        for name, layer in self.named_children():
            nn.init.orthogonal_(layer.weight, gains.get(name, 2.0**0.5))
            nn.init.zeros_(layer.bias)

    def forward(self, x: torch.Tensor) -> tuple[torch.Tensor, torch.Tensor]:
        """(B, 4, 32, 40) uint8 -> logits (B, A), values (B,)."""
        x = F.relu(F.conv2d(x.float(), self.conv1.weight / 255.0, self.conv1.bias, stride=3))  # scaled as ours is
        x = F.relu(self.conv2(x))
        x = F.relu(self.fc(x.flatten(1)))
        return self.actor(x), self.critic(x).squeeze(1)


class PPO(ppo.PPO):
    """Ours with its two uses of the Tensor, `predict` and `improve`, in torch."""

    def make_optimizer(self) -> torch.optim.Optimizer:
        """Adam, as ours."""
        return torch.optim.Adam(self.model.parameters(), lr=self.settings.lr, eps=1e-5)

    @torch.no_grad()
    def predict(self, observations: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
        """Logits (N, A) and values (N,)."""
        logits, values = self.model(torch.from_numpy(observations))
        return logits.numpy(), values.numpy()

    def improve(self, observations: np.ndarray, batch: dict[str, np.ndarray]) -> dict[str, float]:
        """One gradient step."""
        s, b = self.settings, {name: torch.from_numpy(column) for name, column in batch.items()}
        logits, values = self.model(torch.from_numpy(observations))
        log_p = F.log_softmax(logits, 1)
        ratio = (log_p.gather(1, b["actions"][:, None])[:, 0] - b["log_probs"]).exp()
        gain = b["advantages"]
        policy_loss = -torch.minimum(ratio * gain, ratio.clamp(1.0 - s.clip, 1.0 + s.clip) * gain).mean()
        value_loss = 0.5 * (values - b["returns"]).square().mean()
        entropy = -(log_p.exp() * log_p).sum(1).mean()
        total = policy_loss + s.value_weight * value_loss - s.entropy_weight * entropy
        self.optimizer.zero_grad()
        total.backward()
        nn.utils.clip_grad_norm_(self.model.parameters(), s.max_grad_norm)
        self.optimizer.step()
        return {"loss": total.item()}


def measure(side: str, seconds: float, threads: int) -> dict[str, float]:
    """Train for a while: environments' steps per second, and microseconds of processor time a step."""
    args = Args()
    envs, settings = PongVector(args.environments), ppo_settings(args)
    if side == "torch":
        torch.set_num_threads(threads)
        torch.manual_seed(0)
        learner: ppo.PPO = PPO(envs, CNNActorCritic(), settings, seed=0)
    else:
        tg.set_backend("cpp")  # takes its threads from TINYGRAD_EDU_THREADS
        tg.manual_seed(0)
        learner = ppo.PPO(envs, actor_critic.CNNActorCritic(SHAPE, len(ACTIONS)), settings, seed=0)
    learner.learn(learner.collect())  # the first round is slower
    before, begin, processor = learner.steps, time.perf_counter(), time.process_time()
    while time.perf_counter() - begin < seconds:
        learner.learn(learner.collect())
    steps, passed = learner.steps - before, time.perf_counter() - begin
    return {"steps_per_second": steps / passed, "processor": 1e6 * (time.process_time() - processor) / steps}


def main() -> None:
    """Measure in turns, or, with `--side`, once in this process."""
    parser = argparse.ArgumentParser(description="PPO on Pong, ours and in torch: steps per second.")
    parser.add_argument("--seconds", type=float, default=20.0)
    parser.add_argument("--pairs", type=int, default=4)
    parser.add_argument("--threads", type=int, default=torch.get_num_threads())
    parser.add_argument("--side", choices=("ours", "torch"))
    args = parser.parse_args()
    if args.side:
        print(json.dumps(measure(args.side, args.seconds, args.threads)))
        return
    command = [sys.executable, __file__, "--seconds", str(args.seconds), "--threads", str(args.threads), "--side"]
    env = {**os.environ, "TINYGRAD_EDU_THREADS": str(args.threads)}
    ratios = []
    for _ in range(args.pairs):
        both = {}
        for side in ("torch", "ours"):
            out = subprocess.run([*command, side], check=True, stdout=subprocess.PIPE, env=env).stdout
            both[side] = figures = json.loads(out)
            print("{0}: {steps_per_second:.0f} steps a second, {processor:.0f} us a step".format(side, **figures))
        ratios.append(both["ours"]["steps_per_second"] / both["torch"]["steps_per_second"])
    print(f"{args.threads} threads each: ours / torch's {median(ratios):.2f} ({min(ratios):.2f} to {max(ratios):.2f})")


if __name__ == "__main__":
    main()
