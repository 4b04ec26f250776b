# The service in a container. Build and try it: make image, make image-test; or by hand:
#
#     docker build -t tinygrad-edu .
#     docker run --rm --read-only --tmpfs /tmp -p 127.0.0.1:8000:8000 -v "$PWD/runs/productionize:/models:ro" \
#         tinygrad-edu /models/iris.safetensors
#
# What stands behind the image's name goes to `tinygrad-edu serve`: models first, then flags. A key for the service:
# --env TINYGRAD_EDU_API_KEY, or --api-key-file with a mounted file. SIGTERM (docker stop) lets it finish what is begun.

# A Debian with Python 3.11 or newer; by its digest (python@sha256:...), if every build is to be the same.
ARG BASE=python:3.12-slim

FROM ${BASE} AS build
# The C++ compiler stays in this stage. Debian's own Python keeps its headers apart; the python images have them.
RUN apt-get update \
    && apt-get install -y --no-install-recommends g++ \
    && if [ "$(command -v python3)" = /usr/bin/python3 ]; then \
           apt-get install -y --no-install-recommends python3-dev python3-venv; \
       fi
# Where packages come from, if not from where pip finds them by itself
ARG PIP_INDEX_URL
ARG PIP_CERT
# The instruction sets to compile for, such as "baseline"; if not given, all that the processor's family has
ARG ISAS
COPY . /source
RUN python3 -m venv /opt/service \
    && /opt/service/bin/pip install --no-cache-dir ${ISAS:+--config-settings cmake.define.TINYGRAD_EDU_ISAS=$ISAS} \
        '/source[serve]' \
    # without its kernels it would run as well, only slower: here that is a mistake
    && /opt/service/bin/python -c 'from tinygrad_edu.backends.cpp import chosen_isa; print("kernels:", chosen_isa())' \
    && /opt/service/bin/pip uninstall -y pip setuptools \
    && find /opt/service -type d -name tests -prune -exec rm -r {} +

FROM ${BASE}
RUN useradd --system --no-create-home --uid 10001 service
COPY --from=build /opt/service /opt/service
ENV PATH=/opt/service/bin:$PATH
USER 10001
EXPOSE 8000
HEALTHCHECK --interval=10s --timeout=3s --start-period=10s \
    CMD ["python3", "-c", "import urllib.request as u; u.urlopen('http://127.0.0.1:8000/readyz', timeout=2)"]
ENTRYPOINT ["tinygrad-edu", "serve", "--host", "0.0.0.0", "--port", "8000"]
