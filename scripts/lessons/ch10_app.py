"""The usual first service, in thirty lines: a pickled scikit-learn model behind Flask. Its faults are numbered.

    python ch10_app.py model.pkl [HOST PORT]
    curl -H 'content-type: application/json' -d '{"inputs": [[5.1, 3.5, 1.4, 0.2]]}' 127.0.0.1:5000/predict

`tinygrad-edu serve` is what becomes of it once each of them is mended.
"""

import pickle
import sys

from flask import Flask, Response, jsonify, request


def make_app(path: str) -> Flask:
    """The service of the model in a file."""
    with open(path, "rb") as file:
        # 1. A pickle is a program: loading it runs what its author wrote. And it fits one version of scikit-learn only,
        #    which it does not name: with another one it fails, or, worse, answers otherwise.
        model = pickle.load(file)
    app = Flask(__name__)

    @app.post("/predict")
    def predict() -> Response:
        # 2. No check: a missing name, text for a number or one number too few raise something, and the client reads
        #    "500 Internal Server Error", in HTML, and never which number it was. Nor is the body's size limited.
        # 3. A model call for each request. scikit-learn takes about as long for one row as for a hundred.
        # 4. No probabilities, and no word on which model it was that answered.
        return jsonify(predictions=model.predict(request.get_json()["inputs"]).tolist())

    return app


if __name__ == "__main__":
    # 5. Flask's own server is meant for developing: one process, a new thread for each connection, however many come.
    #    With debug=True, as it is often copied, whoever sees an error page could run code here.
    # 6. Nothing tells whether it is well, how much it is asked or how long it takes; a new model needs a restart, and a
    #    broken one ends the service. Whoever reaches the port may ask.
    host, port = sys.argv[2:] or ("127.0.0.1", "5000")
    make_app(sys.argv[1]).run(host, int(port))
