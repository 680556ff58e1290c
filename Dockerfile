# Two images from one file:
#
#   docker build --target operator  -t portico-operator  .
#   docker build --target dataplane -t portico-dataplane .
#
# Packages come from wheels/ when that folder is there, and then from nowhere else (`make wheels`
# fills it; for builders without a network); otherwise from the locks in requirements/, each file
# checked against its hash. No instruction needs BuildKit, so any builder will do.
#
# BASE_IMAGE needs python3 >= 3.11 with venv, and nothing more. For a release, give it by digest.
ARG BASE_IMAGE=python:3.13.7-slim-bookworm

FROM ${BASE_IMAGE} AS base
# Bytecode is written while the image is built, never by a pod: its root is read-only.
ENV PATH="/opt/portico/bin:${PATH}" \
    PYTHONDONTWRITEBYTECODE=1 \
    PYTHONUNBUFFERED=1 \
    PYTHONSAFEPATH=1


# What builds, and stays behind: pip, the wheel of the project, a compiler where one is asked for.
FROM base AS tools
ENV PIP_DISABLE_PIP_VERSION_CHECK=1 \
    PIP_NO_CACHE_DIR=1 \
    PIP_ROOT_USER_ACTION=ignore
RUN python3 -m venv /opt/tools && python3 -m venv --without-pip /opt/portico
# The glob makes the folder optional: LICENSE is always there, so COPY always finds something.
COPY LICENSE wheels* /wheels/


FROM tools AS wheel
# COMPILED=1: the hot modules as native code (about 15 % less CPU per request; needs apt).
ARG COMPILED=0
WORKDIR /src
COPY requirements/build.txt requirements/dataplane.txt requirements/
RUN set -eu; \
    if ls /wheels/portico-*.whl >/dev/null 2>&1 && [ "${COMPILED}" = 0 ]; then exit 0; fi; \
    if ls /wheels/*.whl >/dev/null 2>&1; then \
        set -- --no-index --find-links=/wheels; \
        if [ "${COMPILED}" = 0 ]; then set -- "$@" hatchling; \
        else set -- "$@" hatchling mypy setuptools "portico[dataplane]"; fi; \
    else \
        set -- --require-hashes -r requirements/build.txt; \
        if [ "${COMPILED}" != 0 ]; then set -- "$@" -r requirements/dataplane.txt; fi; \
    fi; \
    /opt/tools/bin/python -m pip install --quiet "$@"; \
    if [ "${COMPILED}" != 0 ] && ! command -v gcc >/dev/null; then \
        apt-get -qq update; \
        apt-get -qq install -y --no-install-recommends gcc libc6-dev >/dev/null; \
        rm -rf /var/lib/apt/lists/*; \
    fi
COPY pyproject.toml README.md LICENSE ./
COPY dataplane dataplane
COPY operator operator
COPY native native
RUN set -eu; \
    mkdir -p /dist/compiled; \
    if ls /wheels/portico-*.whl >/dev/null 2>&1; then cp /wheels/portico-*.whl /dist/; \
    else \
        /opt/tools/bin/python -m pip wheel --quiet --no-deps --no-build-isolation \
            --wheel-dir /dist .; \
    fi; \
    if [ "${COMPILED}" != 0 ]; then \
        PYTHONSAFEPATH= /opt/tools/bin/python native/native_build.py; \
        cp -r build/compiled/. /dist/compiled/; \
    fi


FROM tools AS operator-packages
COPY requirements/operator.txt /requirements/
COPY --from=wheel /dist /dist
RUN set -eu; \
    set -- /opt/tools/bin/python -m pip --python /opt/portico/bin/python install --quiet; \
    if ls /wheels/*.whl >/dev/null 2>&1; then \
        "$@" --no-index --find-links=/wheels --find-links=/dist "portico[operator]"; \
    else \
        "$@" --require-hashes -r /requirements/operator.txt; \
        "$@" --no-deps --no-index /dist/portico-*.whl; \
    fi


FROM tools AS dataplane-packages
COPY requirements/dataplane.txt /requirements/
COPY --from=wheel /dist /dist
RUN set -eu; \
    set -- /opt/tools/bin/python -m pip --python /opt/portico/bin/python install --quiet; \
    if ls /wheels/*.whl >/dev/null 2>&1; then \
        "$@" --no-index --find-links=/wheels --find-links=/dist "portico[dataplane]"; \
    else \
        "$@" --require-hashes -r /requirements/dataplane.txt; \
        "$@" --no-deps --no-index /dist/portico-*.whl; \
    fi; \
    cp -r /dist/compiled/. /opt/portico/lib/python3*/site-packages/


FROM base AS operator
COPY --from=operator-packages /opt/portico /opt/portico
# Says that the image starts, and leaves the bytecode of all that a start imports.
RUN PYTHONDONTWRITEBYTECODE= python -m portico_operator --help >/dev/null
USER 65532:65532
# Configuration stream, admin port.
EXPOSE 8443 9901
ENTRYPOINT ["python", "-m", "portico_operator"]


FROM base AS dataplane
COPY --from=dataplane-packages /opt/portico /opt/portico
RUN PYTHONDONTWRITEBYTECODE= python -m portico_dataplane --help >/dev/null
USER 65532:65532
# Traffic, admin port.
EXPOSE 8080 8443 9901
# SIGTERM drains: not ready, then `Connection: close`, then the end.
STOPSIGNAL SIGTERM
ENTRYPOINT ["python", "-m", "portico_dataplane"]
