"""Logged interactions as OpenTelemetry traces: one trace each, with spans for its stages, sent by OTLP over HTTP.

Attributes are named by OpenInference (https://github.com/Arize-ai/openinference, spec/semantic_conventions.md) and by
OpenTelemetry's conventions for generative AI (`gen_ai.*`). Ids follow from the interaction's own: what is exported
twice is the same trace.
"""
