"""`make image`, `make image-test`: the Dockerfile's image is built, started, and sent real requests.

With Docker where its engine runs, else with Debian's buildah, which needs no engine (`apt-get install buildah`): it
builds the same Dockerfile, and runs the image as a plain process in the image's files (`--isolation chroot`), on this
machine's network. Where no registry has the base, one is made by debootstrap: a Debian with Python and little more.

    python tests/serve/image.py build | test           BASE=..., PIP_INDEX_URL=..., ISAS=... in the environment
"""

from __future__ import annotations

import json
import os
import shutil
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import Any

ROOT = Path(__file__).parents[2]
TAG, BASE = "tinygrad-edu", "python:3.12-slim"
LARGEST = 400  # MB
SETTINGS = ("PIP_INDEX_URL", "ISAS")  # of the Dockerfile, taken from the environment
LEFT_OUT = ("var/cache/apt", "var/lib/apt/lists", "usr/share/doc", "usr/share/man", "usr/share/locale")
COMPILERS = ("cc", "gcc", "g++", "c++", "make", "cmake", "ninja")


def said(*command: str, **options: Any) -> str:
    """What a command prints; its errors go where ours go."""
    return subprocess.run(command, check=True, stdout=subprocess.PIPE, text=True, **options).stdout


class Docker:
    """An image built and run by Docker."""

    def build(self) -> None:
        """Build the image."""
        given = [f"--build-arg={name}={os.environ[name]}" for name in ("BASE", *SETTINGS) if name in os.environ]
        subprocess.run(["docker", "build", "--tag", TAG, *given, str(ROOT)], check=True)

    def config(self) -> dict[str, Any]:
        """What the image says of itself: User, Entrypoint, Healthcheck and so on."""
        return json.loads(said("docker", "image", "inspect", "--format", "{{json .Config}}", TAG))

    def megabytes(self) -> float:
        """Its size on the disk."""
        return int(said("docker", "image", "inspect", "--format", "{{.Size}}", TAG)) / 1e6

    @contextmanager
    def running(self, models: Path, names: Sequence[str], port: int) -> Iterator[float]:
        """The service, from the command until it is told to stop; when it was given, by `time.perf_counter`."""
        flags = [
            "--rm",
            "--read-only",
            "--tmpfs=/tmp",
            f"--publish=127.0.0.1:{port}:8000",
            f"--volume={models}:/models:ro",
        ]
        begin = time.perf_counter()
        self.container = said("docker", "run", "--detach", *flags, TAG, *names).strip()
        try:
            yield begin
        finally:
            subprocess.run(["docker", "stop", self.container], check=True, stdout=subprocess.DEVNULL)

    def inside(self, *command: str) -> subprocess.CompletedProcess[str]:
        """A command in the running container."""
        return subprocess.run(["docker", "exec", self.container, *command], capture_output=True, text=True)


class Buildah:
    """The same without an engine."""

    def __init__(self) -> None:
        self.folder = ROOT / "build" / "image"
        self.folder.mkdir(parents=True, exist_ok=True)
        storage = [f"--root={self.folder / 'storage'}", f"--runroot={self.folder / 'run'}", "--storage-driver=vfs"]
        self.buildah = ["buildah", *storage]

    def build(self) -> None:
        """Build the image, over a base that can be had."""
        given = {"BASE": os.environ.get("BASE") or self.base()}
        given |= {name: os.environ[name] for name in SETTINGS if name in os.environ}
        certificates, inside = os.environ.get("PIP_CERT", ""), "/certificates.pem"
        volumes = []
        if certificates:  # of whoever stands between this machine and where packages come from
            given["PIP_CERT"] = inside
            volumes = [f"--volume={certificates}:{inside}:ro"]
        flags = [*volumes, *(f"--build-arg={name}={value}" for name, value in given.items())]
        # HEALTHCHECK is Docker's; OCI's own format has no place for it
        kind = ["--isolation=chroot", "--format=docker"]
        subprocess.run([*self.buildah, "build", *kind, f"--tag={TAG}", *flags, str(ROOT)], check=True)
        said(*self.buildah, "rmi", "--prune")  # an older one that has lost its tag to this

    def base(self) -> str:
        """The name of the base image: the usual one where a registry gives it, else one made here."""
        made = "localhost/tinygrad-edu-base"
        if subprocess.run([*self.buildah, "inspect", made], capture_output=True).returncode == 0:
            return made
        pull = [*self.buildah, "pull", "--quiet", BASE]
        try:
            if subprocess.run(pull, timeout=60, capture_output=True).returncode == 0:
                return BASE
        except subprocess.TimeoutExpired:
            pass
        print(f"image: no registry gives {BASE}: a base is made by debootstrap", flush=True)
        with tempfile.TemporaryDirectory() as folder:
            subprocess.run(
                ["debootstrap", "--variant=minbase", "--include=python3", "bookworm", folder],
                check=True, stdout=subprocess.DEVNULL,
            )  # fmt: skip
            for left_out in LEFT_OUT:
                shutil.rmtree(Path(folder, left_out))
                Path(folder, left_out).mkdir()
            container = said(*self.buildah, "from", "scratch").strip()
            said(*self.buildah, "copy", "--quiet", container, folder, "/")
            said(*self.buildah, "commit", "--quiet", "--rm", container, made)
        return made

    def config(self) -> dict[str, Any]:
        """What the image says of itself."""
        return json.loads(said(*self.buildah, "inspect", "--type=image", TAG))["Docker"]["config"]

    def megabytes(self) -> float:
        """The size of all its files."""
        container = said(*self.buildah, "from", TAG).strip()
        try:
            return int(said("du", "-sb", said(*self.buildah, "mount", container).strip()).split()[0]) / 1e6
        finally:
            said(*self.buildah, "rm", container)

    @contextmanager
    def running(self, models: Path, names: Sequence[str], port: int) -> Iterator[float]:
        """The service, from the command until it is told to stop; when it was given, by `time.perf_counter`."""
        self.container = said(*self.buildah, "from", TAG).strip()
        # the network is this machine's: nobody outside is to reach the service, and the port must be free
        command = [*self.config()["Entrypoint"], *names, "--host", "127.0.0.1", "--port", str(port)]
        self.run = [*self.buildah, "run", "--isolation=chroot", f"--volume={models}:/models:ro", self.container, "--"]
        begin = time.perf_counter()
        process = subprocess.Popen([*self.run, *command])
        try:
            yield begin
        finally:
            for pid in services(process.pid):
                os.kill(pid, 15)
            assert process.wait(30) == 0, f"expected status 0 after SIGTERM, got {process.returncode}"
            said(*self.buildah, "rm", self.container)

    def inside(self, *command: str) -> subprocess.CompletedProcess[str]:
        """A command in the running container."""
        return subprocess.run([*self.run, *command], capture_output=True, text=True)


def services(ancestor: int) -> list[int]:
    """The process below `ancestor` that the image's entry point started: the first one that is called python."""
    parents = {}
    for stat in Path("/proc").glob("[0-9]*/stat"):
        try:
            name, fields = stat.read_text().split("(", 1)[1].rsplit(")", 1)
        except FileNotFoundError:  # ended meanwhile
            continue
        parents[int(stat.parent.name)] = int(fields.split()[1]), name
    below, found = {ancestor}, []
    while new := {pid for pid, (parent, _) in parents.items() if parent in below} - below:
        below |= new
        found += [pid for pid in sorted(new) if parents[pid][1].startswith(("python", "tinygrad", "gunicorn"))]
    return found[:1]


def engine() -> Docker | Buildah:
    """Docker where its engine answers, else buildah."""
    if shutil.which("docker") and subprocess.run(["docker", "info"], capture_output=True).returncode == 0:
        return Docker()
    if shutil.which("buildah"):
        return Buildah()
    raise SystemExit("image: no Docker engine answers, and there is no buildah: apt-get install buildah debootstrap")


def save_models(folder: Path) -> dict[str, Any]:
    """Three models of different kinds, and the predictions that are expected: by file name."""
    from sklearn.datasets import load_iris
    from sklearn.linear_model import LogisticRegression as Theirs

    from tinygrad_edu.models.lenet import LeNet
    from tinygrad_edu.plugins import LogisticRegression
    from tinygrad_edu.serve import Pictures, save

    x, y = load_iris(return_X_y=True)
    save(folder / "iris.safetensors", LogisticRegression().fit(x, y))
    save(folder / "theirs.skops", Theirs(max_iter=1000).fit(x, y))
    settings = {"channels": 1, "size": 8, "classes": 10}
    save(folder / "digits.safetensors", LeNet(**settings), architecture="lenet", settings=settings, inputs=Pictures(8))
    folder.chmod(0o755)  # not root: it must be able to read them
    return {"iris.safetensors": x[:3].tolist(), "theirs.skops": x[:3].tolist(), "digits.safetensors": [[[0.5] * 8] * 8]}


def test() -> None:
    """Build, start, ask, look inside, stop."""
    from tinygrad_edu.scripts.ch10_service import Client, free_port
    from tinygrad_edu.serve import load

    image, port = engine(), free_port()
    image.build()
    config, megabytes = image.config(), image.megabytes()
    print(f"image: {megabytes:.0f} MB, user {config['User']}")
    assert megabytes <= LARGEST
    with tempfile.TemporaryDirectory() as folder:
        inputs = save_models(Path(folder))
        with image.running(Path(folder), [f"/models/{name}" for name in inputs], port) as begin:
            await_answer(port, {"inputs": inputs["iris.safetensors"]})
            print(f"image: {time.perf_counter() - begin:.2f} s from start to first answer")
            client = Client(port)
            for name, rows in inputs.items():
                status, answer = client.ask(f"/models/{Path(name).stem}/predict", {"inputs": rows})
                expected = load(Path(folder, name)).predict(rows).predictions.tolist()
                assert (status, len(answer["predictions"])) == (200, len(rows))
                # another NumPy and other kernels: the last digits may differ
                assert all(abs(a - b) < 1e-5 for a, b in zip(flat(answer["predictions"]), flat(expected), strict=True))
            assert client.ask("/predict", {"inputs": [[1.0]]})[0] == 422
            for path in ("/", "/readyz", "/metrics", "/openapi.json", "/static/page.css"):
                assert client.ask(path)[0] == 200, path
            client.close()
            look_inside(image, config, port)
    print("image: passed")


def await_answer(port: int, body: dict[str, Any]) -> None:
    """Ask until there is an answer; a minute at most."""
    from tinygrad_edu.scripts.ch10_service import Client

    for _ in range(6000):
        try:
            assert Client(port).ask("/predict", body)[0] == 200
            return
        except OSError:  # nobody listens yet
            time.sleep(0.01)
    raise TimeoutError("image: no answer within a minute")


def flat(values: Any) -> list[float]:
    """The numbers in nested lists."""
    return [number for value in values for number in flat(value)] if isinstance(values, list) else [values]


def health(config: dict[str, Any], port: int) -> list[str]:
    """The health check's command, at the port where the service listens."""
    return [part.replace(":8000/", f":{port}/") for part in config["Healthcheck"]["Test"][1:]]


def look_inside(image: Docker | Buildah, config: dict[str, Any], port: int) -> None:
    """No root, no compiler, no way to change the program; and the health check tells that it is well."""
    assert config["User"] == image.inside("id", "-u").stdout.strip() == "10001"
    for name in COMPILERS:
        assert image.inside("sh", "-c", f"command -v {name}").returncode != 0, name
    assert image.inside("touch", "/opt/service/changed").returncode != 0
    check = image.inside(*health(config, 8000 if isinstance(image, Docker) else port))
    assert check.returncode == 0, check.stderr


if __name__ == "__main__":
    {"build": lambda: engine().build(), "test": test}[sys.argv[1]]()
