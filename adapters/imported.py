"""An adapter from elsewhere as a persona: checked against its base as the engine checks it, then published."""

import json
import shutil
from dataclasses import replace
from pathlib import Path

import torch

from adapters.adapted import base_facts
from adapters.errors import BadPersona, CannotImport
from adapters.loaded import loading
from adapters.persona import PERSONA_FILE, PersonaCard, check_name, read_persona, render_persona
from adapters.plan import BaseFacts
from adapters.published import BASE_FILE, AdapterFolder, title_card
from adapters.store import AdapterStore
from adapters.workspace import only_run
from chatbot.engine.adapter_files import linear_sizes, read_adapter
from chatbot.engine.base import AdapterRejected
from chatbot.engine.digest import ADAPTER_CONFIG


def publish_import(folder: Path, persona: PersonaCard, store: AdapterStore, base: BaseFacts) -> AdapterFolder:
    """Publish a checked adapter from a folder; who it is and what its base is say these arguments, not its files.

    Raises CannotTrain while the persona is trained.
    """

    def fill(staging: Path, version: int) -> None:
        for path in folder.iterdir():
            shutil.copyfile(path, staging / path.name)
        title_card(staging, f"{persona.name} v{version}")
        (staging / PERSONA_FILE).write_text(render_persona(persona), encoding="utf-8")
        said = json.dumps({"name": base.name, "digest": base.digest}, indent=2)
        (staging / BASE_FILE).write_text(said + "\n", encoding="utf-8")

    with only_run(store.home(persona.name)):  # which sweeps away what is being written, it thinks, by nobody
        return store.publish(persona.name, fill)


def check_import(folder: Path, source: Path, base: Path, base_name: str | None) -> BaseFacts:
    """Return the base of the adapter in this folder, which was unpacked from `source`.

    Raises CannotImport if an engine that serves the base would not take it, or CannotLoad.
    """
    facts, on_cpu = base_facts(base, base_name), torch.device("cpu")
    try:
        read_adapter(folder, _linears(base), base_digest=facts.digest, dtype=torch.float32, device=on_cpu)
    except AdapterRejected as error:
        said = str(error).replace(str(folder), str(source))
        raise CannotImport(f"{said} (it was to be a persona of {facts.name}; name another base with --base)") from error
    return facts


def named_base(folder: Path) -> str | None:
    """Return the base that a checked adapter's own config names, where nothing says for certain which it was."""
    if (folder / BASE_FILE).exists():
        return None
    config = json.loads((folder / ADAPTER_CONFIG).read_text(encoding="utf-8"))
    return config.get("base_model_name_or_path") or None


def persona_in(
    folder: Path, source: Path, name: str | None, system: str | None, description: str | None
) -> PersonaCard:
    """Return who an unpacked adapter is: what is given here wins over its own file. Raises BadPersona."""
    file = folder / PERSONA_FILE
    try:
        card = read_persona(file, name=name) if file.exists() else PersonaCard(name or "")
    except BadPersona as error:
        raise BadPersona(str(error).replace(str(folder), str(source))) from error
    if not (name or card.name):
        raise BadPersona(f"{source}: no {PERSONA_FILE} in it that has a name (give --name)")
    return replace(
        card,
        name=check_name(name or card.name),
        system=card.system if system is None else system.strip() or None,
        description=card.description if description is None else description,
    )


def _linears(base: Path) -> dict[str, tuple[int, int]]:
    """Return the sizes of a base's linears, by name, without its weights."""
    from transformers import AutoConfig, AutoModelForCausalLM

    with loading(base), torch.device("meta"):
        config = AutoConfig.from_pretrained(base, trust_remote_code=False, local_files_only=True)
        return linear_sizes(AutoModelForCausalLM.from_config(config, trust_remote_code=False))
