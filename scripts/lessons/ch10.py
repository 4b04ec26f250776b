"""Chapter 10's lessons: a model behind a small service, as it is usually begun, and the container that carries it.

Sources: Flask's documentation, "Quickstart" and "Deploying to production"; Python's documentation of pickle, its
warning; scikit-learn's documentation, "Model persistence"; Docker's documentation, "Building best practices".
"""

from __future__ import annotations

import io
import json
import pickle
import pickletools
import sys
import tempfile
from collections.abc import Callable
from pathlib import Path
from typing import Any

from tinygrad_edu.errors import require
from tinygrad_edu.scripts.ch10_service import Client, free_port, running

HERE = Path(__file__).parent
APP, DOCKERFILE = HERE / "ch10_app.py", HERE / "ch10.Dockerfile"
FLOWER = [5.1, 3.5, 1.4, 0.2]  # iris's first: setosa
MISTAKES = {  # what clients send, and the answer that would help them
    "another name": ({"rows": [FLOWER]}, "there is no field 'inputs'"),
    "text for a number": ({"inputs": [[5.1, 3.5, 1.4, "wide"]]}, "inputs[0][3] is no number"),
    "a number too few": ({"inputs": [FLOWER[:3]]}, "inputs[0] has 3 numbers, the model takes 4"),
    "nothing": ({"inputs": []}, "inputs has no rows"),
    "broken JSON": (b'{"inputs": [[5.1, ', "the JSON ends too early"),
}


def small_service() -> None:
    """A scikit-learn model saved with pickle, loaded and served by a small Flask application; and what is wrong there.

    The application is `lessons/ch10_app.py`; the project that does it well is `tinygrad-edu run productionize`.
    """
    require("flask", extra="serve")
    with tempfile.TemporaryDirectory() as folder:
        path = Path(folder) / "model.pkl"
        model = save_iris(path)
        port = free_port()
        print(f"The application is {APP.name}, beside this lesson; its faults are numbered there. It runs:\n")
        print(f"  python {APP.name} {path.name}\n")
        with running([sys.executable, str(APP), str(path), "127.0.0.1", str(port)], port):
            client = Client(port)
            body = {"inputs": [FLOWER]}
            print(f"  curl -H 'content-type: application/json' -d '{json.dumps(body)}' 127.0.0.1:{port}/predict\n")
            status, answer = client.ask("/predict", body)
            print(f"  {status} {json.dumps(answer)}")
            same = answer["predictions"] == model.predict([FLOWER]).tolist()
            print(
                f"\nThe model itself says {'the same' if same else 'something else'}. What clients get wrong, though:\n"
            )
            for what, (wrong, helpful) in MISTAKES.items():
                status, answer = client.ask("/predict", wrong)
                title = answer.partition("<title>")[2].partition("</title>")[0]
                print(f"  {what:<18} {status}, a page: {title:<27} helpful: {helpful}")
            client.close()
    print("\n500 says that the service is at fault, and wakes somebody up at night; it was the client, who should read")
    print("4xx and which value it was.")
    hostile_pickle()


def save_iris(path: Path) -> Any:
    """Train scikit-learn's logistic regression on iris and pickle it; the model."""
    require("sklearn", extra="viz")
    from sklearn.datasets import load_iris
    from sklearn.linear_model import LogisticRegression

    iris = load_iris()
    model = LogisticRegression(max_iter=1000).fit(iris.data, iris.target_names[iris.target])
    path.write_bytes(pickle.dumps(model))
    print(f"Logistic regression on iris: {model.score(iris.data, iris.target_names[iris.target]):.1%} of the flowers")
    print(f"that it has learnt from. Pickled: {path.stat().st_size} bytes.\n")
    return model


class NotAModel:
    """Pickled, this is an instruction to call `print`; it could as well be `os.system`."""

    def __reduce__(self) -> tuple[Any, ...]:
        return print, ("  >>> this line was printed by the file, while it was loaded <<<",)


def hostile_pickle() -> None:
    """Show what a pickle is: a program for a small machine, and one that calls what it likes."""
    evil = pickle.dumps(NotAModel(), protocol=0)
    print(f"\nA pickle is a program. These {len(evil)} bytes are one that somebody may send as model.pkl:\n")
    listing = io.StringIO()
    pickletools.dis(evil, out=listing)
    print(*(f"  {line}" for line in listing.getvalue().splitlines() if "PUT" not in line), sep="\n")
    print("\npickle.load finds `print` by its name (GLOBAL), and calls it (REDUCE). Loaded now:\n")
    pickle.loads(evil)
    print("\nNo check of the object comes early enough: it has run by then. So a model is kept as numbers and a")
    print("description of what they are for (safetensors), or in a file whose types are looked at first (skops).")


def container() -> None:
    """A Dockerfile for that service: what each of its lines does, and what is wrong with it.

    The one that the project is shipped with, and what it does otherwise, is `Dockerfile` in the repository's root.
    """
    why = {
        "FROM": "an image that others made: Debian with Python. `3.12-slim` is another one next month",
        "WORKDIR": "the folder that the next lines work in; made if it is not there",
        "RUN": "runs now, while the image is built; the files that it leaves are a layer. No versions: what is newest",
        "COPY": "the application and the model; after the packages, whose layer is kept when only these change",
        "EXPOSE": "says which port it listens on; `docker run -p` opens it",
        "CMD": "runs when the container starts: as root, as nobody said otherwise. A list: no shell that takes signals",
    }
    print(f"{DOCKERFILE.name}, beside this lesson:\n")
    for line in DOCKERFILE.read_text().splitlines():
        print(f"  {line}\n      {why[line.split()[0]]}")
    print("\nIn a folder with this file, the application and a model.pkl (lesson 10.1 tells where that comes from):\n")
    print(f"  docker build -t iris -f {DOCKERFILE.name} .")
    print("  docker run --rm -p 127.0.0.1:5000:5000 iris")
    print("  curl -H 'content-type: application/json' -d '" + json.dumps({"inputs": [FLOWER]}), end="' ")
    print("127.0.0.1:5000/predict\n")
    print(
        "What is wrong: it runs as root; nothing tells whether it is well (HEALTHCHECK); versions are those of the day"
    )
    print("it was built on; the server is the one for developing. Mended in the project's own: make image")


LESSONS: dict[str, Callable[[], None]] = {"10.1": small_service, "10.2": container}
