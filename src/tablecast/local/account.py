"""
The local account: everything in it that is ours, put together from its parts.

| part | has |
| --- | --- |
| `Functions`, `Layers`, `Tags`, `Concurrency`, `Invocations`, ... | functions and invoking them |
| `Mappings` | event source mappings, which `DriverHost` runs |
| `LogsApi` | what the functions logged, from `LogStore` |

An application that was declared locally is adopted: its functions and mappings are the account's
like any others, and whoever uses the API sees them.
"""

from __future__ import annotations

import shutil
import time
from collections.abc import Callable, Mapping
from contextlib import AsyncExitStack
from pathlib import Path
from typing import Any, Final

from tablecast.aws.http import AsyncAwsClient, AwsCredentials
from tablecast.aws.models import service_model
from tablecast.local.api.app import AccountApp
from tablecast.local.api.dispatch import Api
from tablecast.local.api.rest_json import RestJson
from tablecast.local.checkpoints import Checkpoints
from tablecast.local.cloudwatch.log_store import LogStore
from tablecast.local.cloudwatch.logs_api import LogsApi, LogsProtocol
from tablecast.local.cloudwatch.subscription_filters import SubscriptionFilters
from tablecast.local.documents import Documents
from tablecast.local.driver import Observer
from tablecast.local.events import FunctionLog
from tablecast.local.functions import FunctionPool
from tablecast.local.lambdas.account_settings import AccountSettings
from tablecast.local.lambdas.asynchronous import AsynchronousInvocations
from tablecast.local.lambdas.code import CodeStore
from tablecast.local.lambdas.code_signing import CodeSigning
from tablecast.local.lambdas.concurrency import ReservedConcurrency
from tablecast.local.lambdas.forgetting import forget
from tablecast.local.lambdas.function_urls import FunctionUrls
from tablecast.local.lambdas.functions import Functions
from tablecast.local.lambdas.invoke import Invocations
from tablecast.local.lambdas.invoke_config import EventInvokeConfigs
from tablecast.local.lambdas.layer_permissions import LayerPermissions
from tablecast.local.lambdas.layers import Layers, LayerVersion
from tablecast.local.lambdas.mappings import Mappings, declared_mapping_id
from tablecast.local.lambdas.permissions import Permissions
from tablecast.local.lambdas.ports import Delays, Part
from tablecast.local.lambdas.provisioned import ProvisionedConcurrency
from tablecast.local.lambdas.tags import Tags
from tablecast.local.lambdas.url_invocation import UrlInvocations
from tablecast.local.mapping_host import DriverHost
from tablecast.local.model import REGION, AppSpec
from tablecast.local.provision import Provisioned

CREDENTIALS: Final = AwsCredentials("test", "test")


def wall_clock() -> float:
    """Return the time in epoch seconds."""
    return time.time()  # noqa: TID251 - the edge that reads it for the account


class RegionClients:
    """
    Clients of the data services, one a region; the data services keep regions apart.

    Args:
        endpoint_url: URL of the data services.
        verifies_signatures: False for MiniStack, which does not.
    """

    def __init__(self, endpoint_url: str, *, verifies_signatures: bool = False) -> None:
        self._endpoint_url = endpoint_url
        self._verifies_signatures = verifies_signatures
        self._clients: dict[str, AsyncAwsClient] = {}

    def __call__(self, region: str) -> AsyncAwsClient:
        """Return the client that signs for *region*."""
        client = self._clients.get(region)
        if client is None:
            client = self._clients[region] = AsyncAwsClient(
                endpoint_url=self._endpoint_url,
                region=region,
                credentials=CREDENTIALS,
                verifies_signatures=self._verifies_signatures,
            )
        return client

    async def aclose(self) -> None:
        """Close their connections."""
        for client in self._clients.values():
            await client.aclose()


class Account:
    """
    The account; its APIs answer from the start, what it held comes back with `resume`.

    Args:
        state_dir: Folder for code and temporary files, and with *keep* for all that is known of
            functions and mappings.
        keep: Keep functions, mappings and code in *state_dir* over restarts.
        endpoint_url: The one address, which functions find in their environment.
        clients: Clients of the data services.
        checkpoints: Where stream mappings keep how far they are.
        environment: Environment to take `PATH` and the like from.
        hinted: Whether the data services hint at writes; without, mappings poll as on AWS.
        observe: Gets the events of functions and mappings as they happen.
        fail: Called when a mapping cannot go on, with the reason.
        delays: How long state changes take.

    Raises:
        LocalRuntimeError: What was kept cannot be read.
    """

    def __init__(
        self,
        *,
        state_dir: Path,
        keep: bool,
        endpoint_url: str,
        clients: RegionClients,
        checkpoints: Checkpoints,
        environment: Mapping[str, str],
        hinted: bool,
        observe: Observer,
        fail: Callable[[BaseException], None],
        delays: Delays,
    ) -> None:
        self._observe = observe
        self._stack = AsyncExitStack()
        self._documents = Documents(state_dir / "account.sqlite" if keep else None)
        self._stack.callback(self._documents.close)
        self.logs = LogStore()
        self.pool = FunctionPool(
            observer=self._observed,
            state_dir=state_dir,
            environment={
                **environment,
                "AWS_ACCESS_KEY_ID": CREDENTIALS.access_key_id,
                "AWS_SECRET_ACCESS_KEY": CREDENTIALS.secret_access_key,
                "AWS_ENDPOINT_URL": endpoint_url,
                "AWS_REGION": REGION,
                "AWS_DEFAULT_REGION": REGION,
            },
        )
        self._stack.push_async_callback(self.pool.aclose)
        documents = self._documents
        code_dir = state_dir / "code"
        if not keep:  # what a run before left that nobody knows of any longer
            shutil.rmtree(code_dir, ignore_errors=True)
        self._layers = Layers(documents, clients, code_dir / "layers", clock=wall_clock)
        self.functions = Functions(
            documents,
            CodeStore(code_dir / "functions", clients),
            self.pool,
            delays=delays,
            clock=wall_clock,
            find_layer=self._find_layer,
        )
        self._stack.push_async_callback(self.functions.aclose)
        self.functions.on_deleted.append(lambda target: forget(documents, target))
        find = self.functions.find
        asynchronous = AsynchronousInvocations(
            find, self.pool, clients, documents, delays=delays, clock=wall_clock
        )
        invocations = Invocations(find, self.pool, asynchronous)
        self._stack.push_async_callback(invocations.aclose)
        self._concurrency = ReservedConcurrency(find, self.pool, documents)
        self._provisioned = ProvisionedConcurrency(
            find, self.pool, documents, delays=delays, clock=wall_clock
        )
        self.functions.on_moved.append(self._provisioned.follow)
        self.functions.on_deleted.append(
            lambda target: self._provisioned.tell_pool(target.region, target.name)
        )
        subscriptions = SubscriptionFilters(
            self.logs, find, invocations.invoke_for_mapping, clock=wall_clock
        )
        self._stack.push_async_callback(subscriptions.aclose)
        self.host = DriverHost(
            clients=clients,
            checkpoints=checkpoints,
            invoke=invocations.invoke_for_mapping,
            observe=observe,
            fail=fail,
            hinted=hinted,
        )
        self._stack.push_async_callback(self.host.stop)
        self.mappings = Mappings(
            self._documents,
            find,
            self.host,
            clients,
            delays=delays,
            clock=wall_clock,
            warn=lambda _mapping_id, _text: None,  # the host does, for declared mappings as well
        )
        self._stack.push_async_callback(self.mappings.aclose)
        self._adopted: frozenset[str] = frozenset()
        urls = FunctionUrls(find, documents, clock=wall_clock)
        lambda_parts: list[Part] = [
            self.functions,
            invocations,
            self.mappings,
            self._layers,
            LayerPermissions(self._layers, documents),
            self._concurrency,
            self._provisioned,
            EventInvokeConfigs(find, documents, clients, clock=wall_clock),
            Permissions(find, documents, self.functions),
            Tags(find, documents, self.functions),
            urls,
            CodeSigning(find, documents, clock=wall_clock),
            AccountSettings(find, self.functions.targets, documents),
        ]
        self.app = AccountApp(
            lambda_api=Api(RestJson(service_model("lambda")), lambda_parts),
            logs_api=Api(
                LogsProtocol(service_model("logs")),
                [LogsApi(self.logs, clock=wall_clock, further=[subscriptions])],
            ),
            download_code=self._download,
            invoke_url=UrlInvocations(urls, find, self.pool, documents, clock=wall_clock).handle,
            status=self._status,
        )

    async def resume(self) -> None:
        """Go on with the functions and mappings that were kept."""
        await self.functions.resume()
        self._concurrency.resume()
        self._provisioned.resume()
        await self.mappings.resume()

    async def adopt(self, app: AppSpec, provisioned: Provisioned) -> None:
        """
        Have the functions and mappings of an application, and none of the one before.

        Functions that *app* does not name any longer stay, for an invocation may be under way.

        Args:
            app: The application.
            provisioned: Where its resources are.

        Raises:
            LocalRuntimeError: A function cannot be.
            ApiError: Lambda would refuse a mapping.
        """
        for function in app.functions:
            await self.functions.adopt(function)
        await self.pool.reload({function.name for function in app.functions})
        names = {each.id for each in app.stream_mappings} | {each.id for each in app.queue_mappings}
        for gone in self._adopted - names:
            await self.mappings.drop(gone)
        self._adopted = frozenset(names)
        for name in names:
            self.host.names[declared_mapping_id(name)] = name
        for stream_mapping in app.stream_mappings:
            arn = provisioned.stream_arns[stream_mapping.table]
            await self.mappings.adopt_stream(stream_mapping, arn)
        for queue_mapping in app.queue_mappings:
            await self.mappings.adopt_queue(queue_mapping)

    async def aclose(self) -> None:
        """End everything; what is in progress comes again or is answered as not invokable."""
        await self._stack.aclose()

    def _observed(self, event: Any) -> None:
        if isinstance(event, FunctionLog):
            self.logs.put(event)
        self._observe(event)

    def _find_layer(self, arn: str) -> LayerVersion | None:
        return self._layers.find(arn)

    async def _download(self, name: str) -> bytes | None:
        """Return the zip file that a `Location` names, None when there is none."""
        if name.startswith("layers/"):
            return self._layers.archive(name)
        return await self.functions.archive(name)

    def _status(self) -> dict[str, Any]:
        """Return what `tablecast local status` shows."""
        return {
            "functions": sum(1 for _ in self._documents.items("function")),
            "mappings": sum(1 for _ in self._documents.items("mapping")),
        }
