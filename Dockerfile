# One image for all of Coffer's own: the services, and the jobs and receivers of docker-compose.yml.

FROM python:3.13-slim AS build
WORKDIR /build
COPY requirements.in requirements.lock ops/compose/requirements.py ./
# Every wheel is fetched by its hash; what is installed is then chosen among these alone.
RUN --mount=type=cache,target=/root/.cache/pip \
    python requirements.py build >build.txt && python requirements.py image >image.txt \
    && pip install --quiet --root-user-action=ignore --no-deps --require-hashes -r build.txt \
    && pip download --quiet --no-deps --require-hashes --dest wheels -r image.txt
COPY contracts contracts
COPY chassis chassis
COPY services services
RUN pip wheel --quiet --no-deps --no-build-isolation --wheel-dir wheels ./contracts ./chassis ./services/* \
    && python -m venv --without-pip /opt/coffer \
    && pip --python /opt/coffer/bin/python install --quiet --no-index --find-links wheels \
        coffer-fund-pool coffer-credit coffer-cashplan coffer-sharing coffer-notify aiosmtpd psutil rich trustme typer

FROM python:3.13-slim
RUN groupadd --system --gid 10001 coffer \
    && useradd --system --uid 10001 --gid coffer --home-dir /var/lib/coffer --shell /usr/sbin/nologin coffer \
    && install --directory --owner coffer --group coffer /var/lib/coffer
COPY --from=build /opt/coffer /opt/coffer
COPY ops /opt/coffer/run/ops
WORKDIR /opt/coffer/run
ENV PATH=/opt/coffer/bin:$PATH PYTHONUNBUFFERED=1 PYTHONDONTWRITEBYTECODE=1
USER 10001:10001
# Which service to run is said by docker-compose.yml: python -m credit serve
CMD ["python", "-m", "ops.compose", "--help"]
