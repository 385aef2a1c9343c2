"""`chatbot serve`: the server alone, until it is told to stop."""

from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from chatbot.cli.configured import fail, settings_with
from chatbot.settings import Settings

if TYPE_CHECKING:
    from chatbot.engine.base import BaseModel, Engine


def serve(
    host: Annotated[
        str | None, typer.Option(help="Address to listen on; by default 127.0.0.1, for this machine alone.")
    ] = None,
    port: Annotated[int | None, typer.Option(help="Port to listen on; by default 8765. 0 picks a free one.")] = None,
    model: Annotated[
        str | None, typer.Option(help="Model to serve: `bundled` (the default), a directory or a Hugging Face name.")
    ] = None,
    allow_origin: Annotated[
        list[str] | None,
        typer.Option(help="Web origin that may connect, such as `https://chat.example`; may be repeated."),
    ] = None,
    allow_host: Annotated[
        list[str] | None, typer.Option(help="Name by which others reach this server; may be repeated.")
    ] = None,
    idle_exit_s: Annotated[
        float | None, typer.Option(help="Stop after this many seconds without a client; by default never.")
    ] = None,
    log_level: Annotated[
        str | None, typer.Option(help="Least severe lines to log: debug, info, warning or error.")
    ] = None,
    background: Annotated[bool, typer.Option("--background", hidden=True)] = False,
) -> None:
    """Serve the model over WebSockets and HTTP.

    Every setting, these and others, may also be a CHATBOT_… variable or stand in chatbot.toml, as listed in
    docs/reference/settings.md. To be reached from other machines it needs a CHATBOT_API_KEY.
    """
    settings = settings_with(
        host=host,
        port=port,
        model=model,
        allow_origin=allow_origin,
        allow_host=allow_host,
        idle_exit_s=idle_exit_s,
        log_level=log_level,
    )
    _serve(settings, is_background=background)


def _serve(settings: Settings, *, is_background: bool) -> None:
    import asyncio
    import os

    # Threads that spin while they wait lose to any neighbour on the machine; torch reads this when it is imported.
    os.environ.setdefault("OMP_WAIT_POLICY", "PASSIVE")

    from chatbot.engine.base import EngineError, ModelNotFound
    from chatbot.engine.checkpoint import locate
    from chatbot.logs import configure_logging
    from chatbot.server.announcement import CannotAnnounce
    from chatbot.server.launch import ALREADY_SERVED
    from chatbot.server.run import CannotServe
    from chatbot.server.run import serve as run_server
    from storage.errors import StorageError, StorageLocked

    configure_logging(settings.log_level)
    try:
        folder = locate(settings.model_path)  # before a server in the background is told to make way
        if not is_background and settings.device.startswith("cuda"):
            _require_device(settings.device)  # likewise, though torch takes seconds to say
        asyncio.run(run_server(settings, partial(_engine, settings, folder), is_background=is_background))
    except StorageLocked as error:
        fail(f"{error}\nanother CHATBOT_HOME has data of its own", ALREADY_SERVED)
    except ModelNotFound as error:
        fail(str(error), 2)
    except (CannotAnnounce, CannotServe, EngineError, StorageError) as error:
        fail(str(error))


def _engine(settings: Settings, folder: Path) -> "Engine":
    from chatbot.engine.checkpoint import describe
    from chatbot.engine.loading import LoadingEngine
    from chatbot.engine.room import Room

    base = describe(folder, settings.model_name, settings.context_tokens)
    room = Room(settings.slots, settings.max_waiting)
    return LoadingEngine(base, partial(_local_engine, settings, folder, base), room, settings.kv_dir)


def _local_engine(settings: Settings, folder: Path, base: "BaseModel") -> "Engine":
    from chatbot.engine.local import LocalEngine  # takes seconds

    _require_device(settings.device)
    return LocalEngine(
        folder,
        base=base,
        device=settings.device,
        slots=settings.slots,
        threads=settings.threads,
        speculative=settings.speculative,
        matmul_precision=settings.matmul_precision,
        compiled=settings.compiled,
        compiled_dir=settings.compiled_dir,
        max_waiting=settings.max_waiting,
        prefill_s=settings.prefill_ms / 1000,
        stuck_after_s=settings.stuck_after_s,
        kv_host_mib=settings.kv_host_mib,
        kv_disk_mib=settings.kv_disk_mib,
        kv_dir=settings.kv_dir,
    )


def _require_device(device: str) -> None:
    import torch

    from chatbot.engine.base import DeviceNotFound

    if device.startswith("cuda") and not torch.cuda.is_available():
        raise DeviceNotFound(f"device: expected a GPU for {device!r}, but torch finds none; try: CHATBOT_DEVICE=cpu")
