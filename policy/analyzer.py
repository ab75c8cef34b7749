"""The engine's side of the pack: Pulumi's analyzer protocol over the SDK's own stubs.

Not `pulumi-policy`: version 1.21 requires protobuf 5, drops the marks of secrets, and abandons a whole rule at the
first value that is not known yet. Source of the protocol: proto/pulumi/analyzer.proto of Pulumi.
"""

from __future__ import annotations

import contextlib
import os
import signal
import sys
import threading
from collections.abc import Iterable, Sequence
from concurrent import futures
from pathlib import Path
from typing import Any

import grpc
from google.protobuf import empty_pb2, json_format
from pulumi.runtime.proto import analyzer_pb2 as wire
from pulumi.runtime.proto import analyzer_pb2_grpc, plugin_pb2
from typing_extensions import override

from policy.pack import judge, judge_files, judge_stack
from policy.resources import Resource, has_secret, plain
from policy.stack import ROOT, NoStackError, Stack, load_stack
from topology.errors import ConfigurationError
from topology.names import PROJECT
from topology.policy_rules import MANDATORY, RULES, Violation

NAME = "basecommerce"
VERSION = "1.0.0"
LARGEST_MESSAGE = 400 * 1024 * 1024
"""Bytes, as in Pulumi's own plugins: a bundle travels in one property."""


class Analyzer(analyzer_pb2_grpc.AnalyzerServicer):
    """Answers the engine. An error of ours ends its operation: no rule is ever skipped in silence."""

    def __init__(self, root: Path = ROOT, stack_file: str = "") -> None:
        """Nothing is read yet. `root` is the repository whose files are judged; the stack's own may be elsewhere."""
        self._root = root
        self._stack_file = stack_file
        self._stacks: dict[str, Stack] = {}
        self._files: dict[str, tuple[Violation, ...]] = {}
        self._secrets: dict[str, str] = {}
        self._loading = threading.Lock()
        self.told_to_end = False
        """Whether the engine has sent Cancel: it is done, or gives up."""

    @override
    def Handshake(self, request: Any, context: Any) -> Any:
        return wire.AnalyzerHandshakeResponse()

    @override
    def ConfigureStack(self, request: Any, context: Any) -> Any:
        keys = set(request.config_secret_keys)
        self._secrets = {key.removeprefix(f"{PROJECT}:"): text for key, text in request.config.items() if key in keys}
        # Files are read while the engine starts the program; the first question reports what is wrong with them.
        threading.Thread(target=self._preload, args=(request.stack,), daemon=True).start()
        return wire.AnalyzerStackConfigureResponse()

    @override
    def Configure(self, request: Any, context: Any) -> Any:
        return empty_pb2.Empty()

    @override
    def Cancel(self, request: Any, context: Any) -> Any:
        self.told_to_end = True
        return empty_pb2.Empty()

    @override
    def Remediate(self, request: Any, context: Any) -> Any:
        return wire.RemediateResponse()

    @override
    def GetPluginInfo(self, request: Any, context: Any) -> Any:
        return plugin_pb2.PluginInfo(version=VERSION)

    @override
    def GetAnalyzerInfo(self, request: Any, context: Any) -> Any:
        policies = [
            wire.PolicyInfo(
                name=rule.id,
                displayName=rule.title,
                description=rule.title,
                enforcementLevel=_level(rule.severity),
            )
            for rule in RULES.values()
        ]
        return wire.AnalyzerInfo(name=NAME, version=VERSION, policies=policies)

    @override
    def Analyze(self, request: Any, context: Any) -> Any:
        resource = read(request)
        return _answer((found, resource.urn) for found in judge(resource, self._stack([resource.urn], context)))

    @override
    def AnalyzeStack(self, request: Any, context: Any) -> Any:
        resources = [read(item) for item in request.resources]
        if not resources:  # a destroy leaves nothing to judge
            return wire.AnalyzeResponse()
        stack = self._stack([item.urn for item in resources], context)
        try:
            of_files = [(violation, "") for violation in self._judged_files(stack)]
        except NoStackError as error:
            context.abort(grpc.StatusCode.FAILED_PRECONDITION, error.render())
            raise
        return _answer((*judge_stack(resources, stack), *of_files))

    def _preload(self, name: str) -> None:
        with contextlib.suppress(NoStackError):
            self._judged_files(self._load(name))

    def _judged_files(self, stack: Stack) -> tuple[Violation, ...]:
        """Judge the files, once, while the engine starts the program, which takes longer. Raises NoStackError."""
        with self._loading:
            name = stack.project.stack
            if name not in self._files:
                try:
                    self._files[name] = tuple(judge_files(stack))
                except ConfigurationError as error:
                    raise NoStackError(f"policy: {name}: a file cannot be judged\n{error.render()}") from None
            return self._files[name]

    def _load(self, name: str) -> Stack:
        with self._loading:
            if name not in self._stacks:
                self._stacks[name] = load_stack(name, self._secrets, self._root, self._stack_file)
            return self._stacks[name]

    def _stack(self, urns: Sequence[str], context: Any) -> Stack:
        """Load the stack that the URNs name, once."""
        try:
            return self._load(urns[0].split("::")[0].removeprefix("urn:pulumi:"))
        except NoStackError as error:
            context.abort(grpc.StatusCode.FAILED_PRECONDITION, error.render())
            raise


def read(message: Any) -> Resource:
    """Read a resource of a request."""
    sent = json_format.MessageToDict(message.properties)
    of_stack = isinstance(message, wire.AnalyzerResource)
    options = message.options
    return Resource(
        urn=message.urn,
        type=message.type,
        name=message.name,
        properties=plain(sent),
        secret=frozenset(key for key, value in sent.items() if has_secret(value)),
        protect=options.protect,
        ignore_changes=tuple(options.ignoreChanges),
        parent=options.parent,
        secret_outputs=tuple(options.additionalSecretOutputs),
        delete_before_replace=options.deleteBeforeReplace,
        dependencies=frozenset(message.dependencies if of_stack else ()),
        property_dependencies={
            key: frozenset(value.urns) for key, value in (message.propertyDependencies.items() if of_stack else ())
        },
    )


def _answer(violations: Iterable[tuple[Violation, str]]) -> Any:
    return wire.AnalyzeResponse(
        diagnostics=[
            wire.AnalyzeDiagnostic(
                policyName=violation.rule.id,
                policyPackName=NAME,
                policyPackVersion=VERSION,
                description=violation.rule.title,
                message=f"{violation.rule.title}\n{violation.details()}",
                enforcementLevel=_level(violation.severity),
                urn=urn,
            )
            for violation, urn in violations
        ]
    )


def _level(severity: str) -> Any:
    return wire.EnforcementLevel.MANDATORY if severity == MANDATORY else wire.EnforcementLevel.ADVISORY


def start(analyzer: Analyzer) -> tuple[grpc.Server, int]:
    """Start to serve on a free port of 127.0.0.1; return the server and its port."""
    server = grpc.server(
        futures.ThreadPoolExecutor(max_workers=4),
        options=[("grpc.max_receive_message_length", LARGEST_MESSAGE)],
    )
    analyzer_pb2_grpc.add_AnalyzerServicer_to_server(analyzer, server)
    port = server.add_insecure_port("127.0.0.1:0")
    server.start()
    return server, port


def serve() -> None:
    """Serve the engine that started this process, until the engine ends."""
    analyzer = Analyzer()

    def on_interrupt(*_: object) -> None:
        """End on the engine's own SIGINT, which follows Cancel; one from a terminal is for the engine to handle."""
        if analyzer.told_to_end:
            os._exit(0)

    signal.signal(signal.SIGINT, on_interrupt)
    _server, port = start(analyzer)
    sys.stdout.write(f"{port}\n")
    sys.stdout.flush()
    # The engine holds the other end of standard input. When it is killed, this is the only sign of it.
    while sys.stdin.buffer.read(4096):
        pass
    os._exit(0)
