# The API and the command line in one image: `docker build -t rag .`, then `docker run rag --help`.
#
# PyPI's torch for x86-64 Linux brings several gigabytes of CUDA libraries. Where no GPU is used, name the index of
# PyTorch's CPU wheels (see its installation page): docker build --build-arg TORCH_INDEX=<url> -t rag .

FROM python:3.12-slim AS build
ARG TORCH_INDEX=""
ENV PIP_DISABLE_PIP_VERSION_CHECK=1 PIP_NO_CACHE_DIR=1
RUN python -m venv /opt/rag
WORKDIR /src
COPY constraints.txt ./
# Before the sources are copied, so that this layer is built anew only when the constraints change.
RUN if [ -n "$TORCH_INDEX" ]; then \
      /opt/rag/bin/pip install --index-url "$TORCH_INDEX" "$(grep '^torch==' constraints.txt)"; \
    fi
COPY pyproject.toml README.md ./
COPY rag rag
COPY ingest ingest
COPY migrations migrations
COPY docs docs
RUN /opt/rag/bin/pip install --constraint constraints.txt ".[postgres,mcp]"

FROM python:3.12-slim
RUN useradd --create-home --uid 10001 rag && install -d -o rag -g rag /data
COPY --from=build /opt/rag /opt/rag
ENV PATH=/opt/rag/bin:$PATH \
    PYTHONUNBUFFERED=1 \
    RAG_DATA=/data \
    RAG_MODELS=/data/models
USER rag
WORKDIR /data
VOLUME /data
EXPOSE 8000
HEALTHCHECK --interval=10s --timeout=5s --start-period=60s --retries=3 \
  CMD ["python", "-c", "import urllib.request; urllib.request.urlopen('http://127.0.0.1:8000/api/health', timeout=4)"]
ENTRYPOINT ["rag"]
CMD ["serve"]
