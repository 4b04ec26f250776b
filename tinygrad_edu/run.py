"""Run: what stands around a project's training loop, so that the loop itself stays in the script.

    with Run(project="digits", out=Path("runs/digits"), backend="numpy", seed=0, settings={"lr": 0.1}) as run:
        run.track(model=model, optimizer=optimizer, loader=loader)    # what a checkpoint holds
        for epoch in run.epochs(10):
            for x, y in run.batches(loader):
                ...                                                   # one training step, written out
                run.log(loss=loss)
            run.log(test_accuracy=accuracy(model))
        run.result(test_accuracy=accuracy(model))

A resumed run ends with the very bits of an undisturbed one. For that a checkpoint is one file with everything that the
rest of the training depends on, taken only between two steps; what was logged after it is cut off, and logged again.
The part of an epoch's body before `batches` runs again too: what logs, draws or changes anything comes after it.
"""

from __future__ import annotations

import json
import math
import os
import signal
import threading
import time
from collections.abc import Iterable, Iterator, Sequence, Sized
from contextlib import contextmanager
from pathlib import Path
from typing import Any, Self, TypeVar

import tinygrad_edu as tg
from tinygrad_edu import report
from tinygrad_edu.checkpoint_file import Checkpoint, make_folder
from tinygrad_edu.metrics import Metrics

T = TypeVar("T")


class Run:
    """One run of a project in the folder `out`: seed, progress, metrics, checkpoints, figures, report.

    `settings` are the project's own flags. With `resume` the run goes on from the checkpoint in `out`; project,
    backend, seed and settings must then be the checkpoint's, except for the settings named in `may_change`. `json` is
    a file for the figures given to `result`, as one flat object.
    """

    checkpoint_seconds: float = 30.0  # a checkpoint is due when the last one is older than this,
    checkpoint_steps: int | None = None  # or when so many steps were made since

    def __init__(
        self,
        *,
        project: str,
        out: Path,
        backend: str,
        seed: int,
        settings: dict[str, object],
        resume: bool = False,
        json: Path | None = None,
        may_change: Sequence[str] = ("epochs",),
    ) -> None:
        self.project, self.out, self.backend, self.seed, self.settings = project, Path(out), backend, seed, settings
        self.resume, self.json, self.may_change = resume, json, may_change
        identity = {name: value for name, value in settings.items() if name not in may_change}
        self.checkpoint = Checkpoint(self.out, {"project": project, "backend": backend, "seed": seed, **identity})
        self.metrics = Metrics(self.out / "metrics.jsonl")
        self.progress = report.Progress(project)
        self.step, self.epoch = 0, 0  # the one in progress, else the last one finished; the first is 1
        self._epoch_done = True
        self._epochs, self._epoch_batched = 0, 0  # all of them; the last one that had its `batches`
        self._seconds = 0.0  # of training before `_clock` was started
        self._clock: float | None = None
        self._tracked: dict[str, Any] = {}
        self._saved: dict[str, Any] | None = None  # the checkpoint to resume from, until the loop begins
        self._begun = self._looping = self._interrupted = False
        self._last_checkpoint, self._last_shown = (0, 0.0), 0.0  # its step, and when; when
        self._results: dict[str, int | float | str | None] = {}
        self._verdicts: list[str] = []
        self._figures: list[tuple[Path, str]] = []  # picture and caption

    def __enter__(self) -> Self:
        make_folder(self.out, "--out")
        if self.resume:
            self._saved = saved = self.checkpoint.read(self.may_change)
            self.step, self.epoch, self._epoch_done = saved["step"], saved["epoch"], saved["epoch_done"]
            self._seconds = saved["seconds"]
        if self.json is not None:
            make_folder(self.json.parent, "--json")
            self.json.write_text("")  # should this run fail, then no figures of an earlier one stay there
        tg.set_backend(self.backend)
        tg.manual_seed(self.seed)
        self._old_handler = signal.getsignal(signal.SIGINT)
        main = threading.current_thread() is threading.main_thread()  # Python lets no other set a handler
        self._handles = main and self._old_handler not in (signal.SIG_IGN, None)  # ignored by who started us: so be it
        if self._handles:
            signal.signal(signal.SIGINT, self._on_interrupt)
        return self

    def __exit__(self, kind: type[BaseException] | None, *_: object) -> None:
        if self._handles:
            signal.signal(signal.SIGINT, self._old_handler)
        self.progress.close()
        if kind is None and not self._begun:
            self._begin()  # a project without a loop
        self.metrics.close()
        if kind is None:
            self._finish()

    def track(self, **objects: Any) -> None:
        """Name what a checkpoint holds: all that training changes, with `state_dict()` and `load_state_dict(state)`.

        Called once, before the loop. In a resumed run each object is put back here to what it was.
        """
        if self._tracked or self._begun:
            raise RuntimeError("Run: track(...) is called once, before the loop")
        self._tracked = objects
        if self._saved is not None:
            saved = self._saved["tracked"]
            if set(saved) != set(objects):
                raise ValueError(f"--resume: {self.checkpoint.path} holds {sorted(saved)}, expected {sorted(objects)}")
            for name, tracked in objects.items():
                tracked.load_state_dict(saved[name])

    def epochs(self, total: int) -> Iterator[int]:
        """The epochs 1 to `total`; resumed, from the one that the checkpoint was taken in."""
        self._epochs = total
        with self._loop():
            for epoch in range(self.epoch + self._epoch_done, total + 1):
                self.epoch, self._epoch_done = epoch, False
                yield epoch
                self._epoch_done = True
                self._between_steps()

    def batches(self, loader: Iterable[T]) -> Iterator[T]:
        """The loader's batches, a training step each; resumed, from the one that comes next."""
        if not self._looping or self._epoch_batched == self.epoch:
            raise RuntimeError("Run: batches(loader) belongs in `for epoch in run.epochs(n)`, once an epoch")
        self._epoch_batched = self.epoch
        self.progress.total = len(loader) * self._epochs if isinstance(loader, Sized) else None
        with self._timed():
            for batch in loader:
                self.step += 1
                yield batch
                self._between_steps()

    def steps(self, total: int, *, seconds: float = math.inf) -> Iterator[int]:
        """The steps 1 to `total`, for a loop without epochs; resumed, from the one that comes next.

        After so many `seconds` of training none begins any more.
        """
        self.progress.total = total
        with self._loop(), self._timed():
            for step in range(self.step + 1, total + 1):
                if self.train_seconds >= seconds:
                    break
                self.step = step
                yield step
                self._between_steps()

    @property
    def train_seconds(self) -> float:
        """Seconds spent in `batches` and `steps`, before and after a resume, but for checkpoints and in `paused`."""
        return self._seconds + (0.0 if self._clock is None else time.perf_counter() - self._clock)

    @contextmanager
    def paused(self) -> Iterator[None]:
        """What happens within, an evaluation say, does not count as training time."""
        seconds = self.train_seconds
        yield
        if self._clock is not None:
            self._seconds, self._clock = seconds, time.perf_counter()

    @contextmanager
    def _timed(self) -> Iterator[None]:
        self._clock = time.perf_counter()
        try:
            yield
        finally:
            self._seconds, self._clock = self.train_seconds, None

    @contextmanager
    def _loop(self) -> Iterator[None]:
        """Take the folder over before the loop, leave a checkpoint behind it; within, Ctrl-C waits for the step."""
        if self._begun:
            raise RuntimeError("Run: a run has one loop, `epochs` or `steps`; make a second Run for a second training")
        self._begin()
        self._looping = True
        try:
            yield
            self.progress.show(self.step, self.epoch, self.metrics.last)
            self._write_checkpoint()
        finally:
            self._looping = False
        if self._interrupted:  # during that last checkpoint
            raise KeyboardInterrupt

    def _between_steps(self) -> None:
        """What is due between two steps: progress, metrics, a checkpoint, and the end after a Ctrl-C."""
        now = time.perf_counter()
        if now - self._last_shown > 0.5:  # seconds
            self._last_shown = now
            self.progress.show(self.step, self.epoch, self.metrics.last)
            self.metrics.flush()
        step, when = self._last_checkpoint
        many = self.checkpoint_steps is not None and self.step - step >= self.checkpoint_steps
        if many or self._interrupted or now - when >= self.checkpoint_seconds:
            self._write_checkpoint()
        if self._interrupted:
            raise KeyboardInterrupt

    def _on_interrupt(self, number: int, frame: object) -> None:
        """Ctrl-C: the loop ends after this step with a checkpoint; a second one, or one outside the loop, at once."""
        signal.signal(signal.SIGINT, signal.default_int_handler)
        if not self._looping:
            raise KeyboardInterrupt
        self._interrupted = True
        # os.write, since the signal may have come in the middle of a print
        os.write(2, b"\nfinishing the step or evaluation, then a checkpoint; Ctrl-C again to stop at once\n")

    def _begin(self) -> None:
        """Take the folder over: an older run's files are replaced; or, resumed, cut back to the checkpoint."""
        self._begun, saved, self._saved = True, self._saved, None
        self.checkpoint.check(self._states())
        if saved is not None:
            if not self._tracked:
                raise RuntimeError("Run: --resume needs run.track(...) before the loop")
            tg.random.set_state(saved["random"])
            self.metrics.open(saved["metrics_bytes"])
            self._last_checkpoint = (self.step, time.perf_counter())
            return
        if self.checkpoint.path.exists() or self.metrics.path.exists():
            print(f"starting anew in {self.out}: the run there is replaced (--resume would go on with it)")
        if self._tracked:  # a new checkpoint first; only then do the older run's files go
            self._write_checkpoint(first=True)
        else:
            self.checkpoint.remove()
        for name in ("report.html", "summary.json"):
            (self.out / name).unlink(missing_ok=True)
        self.metrics.open(0)

    def _states(self) -> dict[str, Any]:
        return {name: tracked.state_dict() for name, tracked in self._tracked.items()}

    def _write_checkpoint(self, *, first: bool = False) -> None:
        """Keep the state between two steps. Raises FloatingPointError rather than replace a good one by NaN."""
        if not self._tracked:
            return
        seconds, states = self.train_seconds, self._states()
        if broken := self.checkpoint.check(states):
            raise self._diverged(f"{broken} is no longer finite")
        tree = {
            "step": self.step,
            "epoch": self.epoch,
            "epoch_done": self._epoch_done,
            "seconds": seconds,
            "metrics_bytes": self.metrics.flush(sync=True),
            "random": tg.random.get_state(),
            "tracked": states,
        }
        self.checkpoint.write(tree, first=first)
        self._last_checkpoint = (self.step, time.perf_counter())
        if self._clock is not None:  # the time of writing does not count
            self._seconds, self._clock = seconds, time.perf_counter()

    def _diverged(self, what: str) -> FloatingPointError:
        kept = f" The checkpoint of step {self._last_checkpoint[0]} is {self.checkpoint.path}" if self._tracked else ""
        return FloatingPointError(
            f"{what} at step {self.step}, epoch {self.epoch}: the training has diverged; try a smaller learning rate, "
            f"or clip the gradient.{kept}"
        )

    def log(self, **metrics: Any) -> None:
        """Add a line of metrics (numbers, 0-d Tensors) of this step to metrics.jsonl; not finite ones are null.

        Raises FloatingPointError when one with "loss" in its name is NaN or infinite: the training has diverged.
        """
        values: dict[str, float | None] = {}
        for name, metric in metrics.items():
            value = float(metric.item() if hasattr(metric, "item") else metric)
            if "loss" in name and not math.isfinite(value):
                raise self._diverged(f"{name} is {value}")
            values[name] = value if math.isfinite(value) else None
        self.metrics.add({"step": self.step, "epoch": self.epoch, "seconds": round(self.train_seconds, 6)}, values)

    def history(self, name: str) -> tuple[list[int], list[float | None]]:
        """The steps and the values of all that was logged under `name`, before a resume too: for a figure."""
        return self.metrics.history(name)

    def figure(self, name: str, figure: Any, caption: str = "") -> None:
        """Keep a picture as `name`.png, .svg, .gif or .html in the run's folder, and show it in the report.

        `figure`: a matplotlib Figure, an SVG document or one `<div>` of HTML as text, or a GIF as bytes. TypeError,
        ValueError for others.
        """
        self._figures.append((report.save_figure(self.out, name, figure), caption or name))

    def result(self, **results: Any) -> None:
        """Note the run's figures, units in the name; with `torch_` or `sklearn_` before a name, the reference's."""
        for name, result in results.items():
            value = result.item() if hasattr(result, "item") else result
            self._results[name] = None if isinstance(value, float) and not math.isfinite(value) else value

    def verdict(self, sentence: str) -> None:
        """Say how the result compares with the reference, also when it falls short."""
        self._verdicts.append(sentence)

    def _finish(self) -> None:
        """Write report and summary, and print the figures."""
        summary = json.dumps({"backend": self.backend, "seed": self.seed, **self._results}, indent=2) + "\n"
        for path in filter(None, (self.out / "summary.json", self.json)):
            path.write_text(summary)
        facts = {"project": self.project, **self.settings, "backend": self.backend, "seed": self.seed}
        facts |= {"steps": self.step, "train_seconds": round(self.train_seconds, 2), **report.surroundings()}
        page = self.out / "report.html"
        page.write_text(report.html(self.project, facts, self._results, self._verdicts, self._figures))
        print(*report.lines(self._results, self._verdicts), f"report: {page}", sep="\n")
