# One image for API, engine and, in the demo, emulator and worker: the command decides.
FROM python:3.12-slim AS build
WORKDIR /src
COPY requirements.lock pyproject.toml README.md LICENSE ./
RUN python -m venv /opt/orchestrator && /opt/orchestrator/bin/python -m pip install --no-cache-dir uv
COPY app ./app
COPY schema ./schema
COPY sagas ./sagas
COPY gitlab ./gitlab
COPY migrations ./migrations
# The lock pins every version and hash; of what it holds only the package's own dependencies are installed.
RUN /opt/orchestrator/bin/uv pip install --no-cache --python /opt/orchestrator/bin/python \
        --constraint requirements.lock --build-constraint requirements.lock .
RUN /opt/orchestrator/bin/python -m pip uninstall --yes uv && /opt/orchestrator/bin/python -m compileall -q /opt/orchestrator/lib

FROM python:3.12-slim
# git: the emulator serves repositories with it, the worker clones with it.
RUN apt-get update && apt-get install --yes --no-install-recommends git && rm -rf /var/lib/apt/lists/*
RUN useradd --system --uid 10001 --create-home --home-dir /var/lib/orchestrator orchestrator
COPY --from=build /opt/orchestrator /opt/orchestrator
ENV PATH=/opt/orchestrator/bin:$PATH PYTHONUNBUFFERED=1
WORKDIR /var/lib/orchestrator
USER orchestrator
EXPOSE 8000
ENTRYPOINT ["orchestrator"]
CMD ["serve"]
