"""The stages of LMGNN one after another, each with a saved result, so that a killed run goes on where it was."""

from __future__ import annotations

import copy
import dataclasses
import hashlib
import json
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import torch
from torch import Tensor, nn

from graphrep.data.tensor_files import read_tensors, write_tensors
from graphrep.errors import CheckpointMismatchError, GraphrepError
from graphrep.methods._lmgnn_data import Lesson
from graphrep.methods._lmgnn_links import LinkObjective, LinkOptions
from graphrep.methods._lmgnn_losses import NodeObjective, Objective, PairObjective, Pseudo
from graphrep.methods._lmgnn_sources import (
    GraphSource,
    JointSource,
    NodeInputs,
    SampledSource,
    Source,
    Texts,
    fill,
    whole_vectors,
)
from graphrep.methods._lmgnn_task import CacheRows, Group, StageTask, Trained, best_score, decay_groups
from graphrep.nn import EdgeHead, EmbeddingCache, LinkHead, TextGraphEncoder, TokenCache, cache_key
from graphrep.nn._text_layers import layer_list
from graphrep.train import Callback, History, TrainConfig, distributed, train

__all__ = ["Options", "Run"]

_LM_PIECE, _GNN_PIECE = 25, 200  # steps between two saved states, at most
_RATES = 20  # values that the rate of the language model takes in a stage, at least, steps allowing
_LM_DECAY, _WARMUP, _HEAD_LR = 0.01, 0.1, 1e-3
_PAYS = 1.5  # times a text must be read before states of its lower layers are kept
_FORMAT = "graphrep LMGNN stage 1"


@dataclasses.dataclass(frozen=True)
class Options:
    """What :meth:`LMGNN.fit` was told beside the data."""

    callbacks: Sequence[Callback] = ()
    folder: Path | None = None
    every: float = 30.0
    resume: bool = False
    rescue: Any = None
    should_stop: Callable[[], bool] | None = None


class Run:
    """One training through all stages.

    Args:
        settings: the estimator, read for its parameters.
        lesson: what is learned.
        texts: with the encoder.
        model: the graph network.
        head: for its vectors.
        text_head: for text vectors alone, or None where no stage needs one.
        fingerprint: of settings, data and the language model as it was given.
        options: see :class:`Options`.

    Attributes:
        histories: by stage, in order.
    """

    def __init__(
        self,
        settings: Any,
        lesson: Lesson,
        texts: Texts,
        model: TextGraphEncoder,
        head: nn.Module,
        text_head: nn.Module | None,
        *,
        fingerprint: str,
        options: Options,
    ) -> None:
        self.settings, self.lesson, self.texts, self.model = settings, lesson, texts, model
        self.head, self.text_head, self.fingerprint, self.options = head, text_head, fingerprint, options
        self.device = torch.device(settings.device)
        self.histories: dict[str, History] = {}
        self._cache: EmbeddingCache | None = None

    def run(self) -> None:
        """All stages."""
        for stage in self.settings.stages:
            {"lm": self._lm, "gnn": self._gnn, "joint": self._joint, "glem": self._glem}[stage]()

    @contextmanager
    def _shared_out(self) -> Iterator[None]:
        """Within the block the language model's layers are sharded, where that is wanted; afterwards it is whole."""
        whole = self.texts.encoder
        if self.settings.parallel != "fsdp" or distributed.world_size() == 1:
            yield
            return
        if not isinstance(whole.model, nn.Module):
            raise GraphrepError("lm is a function, which cannot be sharded.", hint='parallel="ddp"')
        part = copy.deepcopy(whole)
        layers = list(layer_list(part.model)[1])
        distributed.wrap(part, "fsdp", layers=layers, methods=("lower", "upper"))
        self.texts.encoder, device = part, whole.device
        whole.to("cpu")  # where it costs nothing that the shares need
        try:
            yield
        finally:
            self.texts.encoder = whole.to(device)
        whole.load_state_dict(distributed.full_state(part))

    def vectors(self) -> EmbeddingCache:
        """Text vectors by the encoder as it is; in a folder, what is there already is not computed again.

        Raises:
            Interrupted: stopped on request; what was encoded is kept where there is a folder.
        """
        if self._cache is None:
            self._told("encode")
            path, key = self._cache_path()
            options: dict[str, Any] = {"dtype": torch.float16, "device": self.device, "path": path, "key": key}
            cache = None
            if distributed.is_main():
                cache = EmbeddingCache(len(self.texts.table), self.texts.encoder.dim, **options)
            distributed.barrier()  # the folder is made by one process
            if cache is None:
                cache = EmbeddingCache(len(self.texts.table), self.texts.encoder.dim, **options)
            fill(cache, self.texts, self._progress, self.options.should_stop)
            self._cache = cache
        return self._cache

    def _cache_path(self) -> tuple[Path | None, dict[str, Any] | None]:
        base = self.settings.cache_dir or self.options.folder
        if base is None:
            return None, None
        key = cache_key(self.texts.encoder, self.texts.table)
        name = hashlib.blake2b(json.dumps(key, sort_keys=True).encode(), digest_size=6).hexdigest()
        return Path(base) / f"vectors-{name}", key

    def _progress(self, done: int, total: int, rate: float) -> None:
        for callback in self.options.callbacks:
            callback.part_done(0, done / max(total, 1))

    def inputs(self) -> NodeInputs:
        """Input rows on the vectors as they are now."""
        return self._inputs_on(self.vectors())

    def _inputs_on(self, cache: EmbeddingCache) -> NodeInputs:
        own = self.settings
        dropout = own.dropout if own.input_dropout is None else own.input_dropout
        return NodeInputs(self.lesson.graph, self.texts, cache, self.device, dropout=dropout)

    # ---- stages

    def _lm(self, pseudo: Pseudo | None = None, name: str = "lm") -> None:
        with self._shared_out():
            own, encoder = self.settings, self.texts.encoder
            objective = self._text_objective(pseudo)
            parts = Trained({"encoder": encoder, "head": objective.head})
            groups = decay_groups(encoder, 1.0, _LM_DECAY)
            groups += decay_groups(objective.head, _HEAD_LR / own.lm_lr, _LM_DECAY)
            judge = not isinstance(objective, LinkObjective) and objective.judged() is not None
            task, pieces = self._task(name, parts, self.texts, objective, groups, _LM_PIECE, passes=own.lm_epochs)
            if not self._taken_back(name, task):
                self.texts.states = self._lower_states(objective)
                self._train(name, task, self._lm_config(own.lm_epochs * pieces, own.lm_lr, pieces if judge else 0))
                self.texts.states = self.texts.table
        self._cache = None

    def _lower_states(self, objective: Objective) -> Any:
        """What training reads: states below the trained layers where keeping them pays, else the tokens."""
        own, encoder = self.settings, self.texts.encoder
        depth = encoder.train_layers
        if not own.layer_cache or own.lora or not depth or depth == len(layer_list(encoder.model)[1]):
            return self.texts.table
        batches = objective.batches(torch.Generator().manual_seed(own.seed))
        read = sum(len(nodes) for batch in batches for nodes in objective.seeds(batch).values())
        if distributed.from_main(own.lm_epochs * read < _PAYS * len(self.texts.table)):
            return self.texts.table
        self._told("encode")
        path = None if self.options.folder is None else self.options.folder / "lower-states"
        if distributed.world_size() > 1:
            path = None
        return TokenCache.build(
            encoder, self.texts.table, path=path, precision=self.texts.precision, progress=self._progress
        )

    def _gnn(self, pseudo: Pseudo | None = None, name: str = "gnn") -> None:
        own, graph = self.settings, self.lesson.graph
        inputs, edges, reverse = self.inputs(), graph.edges, graph.reverse
        source: Source = (
            GraphSource(self.model, inputs, edges, reverse)
            if own.batch_size is None
            else SampledSource(self.model, inputs, edges, reverse, own.num_neighbors)
        )
        objective = self._objective(own.batch_size, pseudo)
        groups = [*decay_groups(self.model, 1.0, own.weight_decay), *decay_groups(self.head, 1.0, own.weight_decay)]
        modules = Trained({"graph": self.model, "head": self.head})
        task, pieces = self._task(name, modules, source, objective, groups, _GNN_PIECE)
        judge = objective.judged() is not None
        config = TrainConfig(
            epochs=own.epochs * pieces, lr=own.lr, weight_decay=own.weight_decay, clip_norm=own.clip_norm,
            patience=own.patience * pieces, stop="score" if judge else "none", keep="best" if judge else "last",
            eval_every=pieces * own.eval_every if judge else 0, time_budget=own.time_budget, seed=own.seed,
        )  # fmt: skip
        self._train(name, task, config)

    def _joint(self) -> None:
        own, graph = self.settings, self.lesson.graph
        fresh = self.vectors()
        with self._shared_out():
            encoder = self.texts.encoder
            cache = EmbeddingCache(
                fresh.num_nodes, fresh.dim, device=self.device
            )  # rows in a folder keep what their key says
            every = torch.arange(fresh.num_nodes)
            cache.write(every, fresh.gather(every))
            source = JointSource(
                self.model, self._inputs_on(cache), graph.edges, graph.reverse,
                own.num_neighbors, live_nodes=own.live_nodes, scheme=own.live_scheme, scale=own.scale_live,
                refresh_every=own.refresh_every,
            )  # fmt: skip
            objective = self._objective(own.batch_size or own.lm_batch_size)
            parts = {"encoder": encoder, "graph": self.model, "head": self.head, "cache": CacheRows(source)}
            groups = decay_groups(encoder, own.lm_lr / own.joint_lr, _LM_DECAY)
            groups += decay_groups(self.model, 1.0, own.weight_decay) + decay_groups(self.head, 1.0, own.weight_decay)
            trained, passes = Trained(parts), own.joint_epochs
            task, pieces = self._task("joint", trained, source, objective, groups, _LM_PIECE, passes=passes)
            judge = objective.judged() is not None
            config = self._lm_config(own.joint_epochs * pieces, own.joint_lr, pieces if judge else 0)
            self._train("joint", task, config, must_rise=judge)
        self._cache = None

    def _glem(self) -> None:
        weight = self.settings.pseudo_weight
        for number in range(1, self.settings.rounds + 1):
            self._lm(Pseudo(self.probabilities(), weight), f"glem-lm-{number}")
            self._gnn(Pseudo(self.text_probabilities(), weight), f"glem-gnn-{number}")

    # ---- results

    def whole(self) -> dict[str, Tensor]:
        """Vectors of all nodes over the edges that answer."""
        return whole_vectors(self.model, self.inputs(), self.lesson.serving)

    @torch.no_grad()
    def probabilities(self) -> Tensor:
        """(N, C) of the graph network, over the edges of training."""
        z = whole_vectors(self.model, self.inputs(), self.lesson.graph.edges)
        return _probabilities(self.head, z[self.lesson.graph.target])

    @torch.no_grad()
    def text_probabilities(self) -> Tensor:
        """(N, C) of the text head."""
        assert self.text_head is not None
        return _probabilities(self.text_head, self.text_vectors(self.lesson.graph.target))

    def text_vectors(self, kind: str) -> Tensor:
        """(N, h) float32 of one node type with text."""
        rows = self.texts.rows(kind, torch.arange(self.texts.sizes[kind]))
        found: Tensor = self.vectors().gather(rows).float()
        return found

    # ---- pieces

    def _objective(self, batch_size: int | None, pseudo: Pseudo | None = None) -> Objective:
        own, lesson = self.settings, self.lesson
        if lesson.task == "link":
            options = LinkOptions(own.loss, own.temperature, own.num_negatives, own.log_q, own.exclude_targets)
            size = own.links_per_step if batch_size is None else batch_size
            assert isinstance(self.head, LinkHead)
            return LinkObjective(self.head, lesson.links, lesson.graph.num_nodes, batch_size=size, options=options)
        return self._labels(self.head, batch_size, pseudo)

    def _labels(self, head: nn.Module, batch_size: int | None, pseudo: Pseudo | None) -> Objective:
        lesson = self.lesson
        assert lesson.parts is not None
        if lesson.pairs is not None and lesson.pair_y is not None:
            assert isinstance(head, EdgeHead)
            return PairObjective(head, *lesson.pairs, lesson.pair_y, lesson.parts, batch_size=batch_size)
        assert lesson.graph.y is not None
        return NodeObjective(
            head, lesson.graph.target, lesson.graph.y, lesson.parts, batch_size=batch_size, pseudo=pseudo
        )

    def _text_objective(self, pseudo: Pseudo | None) -> Objective:
        own, texts = self.settings, self.texts.sizes
        if self.text_head is not None and (pseudo is not None or own.lm_objective_ == "label"):
            return self._labels(self.text_head, own.lm_batch_size, pseudo)
        links = [part for part in self.lesson.links if part.kind[0] in texts and part.kind[2] in texts]
        if not any(part.train.numel() for part in links):
            raise GraphrepError(
                "no edge joins two nodes with text, so links cannot train the language model.",
                hint='lm_objective="label", or stages=("gnn",)',
            )
        options = LinkOptions(temperature=own.temperature, num_negatives=own.lm_negatives, exclude=False)
        return LinkObjective(
            LinkHead(self.texts.encoder.dim),
            links,
            self.lesson.graph.num_nodes,
            batch_size=own.lm_batch_size,
            options=options,
        )

    def _task(
        self, name: str, parts: nn.Module, source: Source, objective: Objective, groups: list[Group], piece: int,
        *, passes: int | None = None,
    ) -> tuple[StageTask, int]:  # fmt: skip
        steps = len(objective.batches(torch.Generator().manual_seed(0)))
        pieces = max(1, -(-steps // piece))
        if passes is not None:  # the rate changes between pieces
            pieces = max(pieces, min(steps, -(-_RATES // max(1, passes))))
        fingerprint = f"{self.fingerprint}, stage {name}"
        task = StageTask(
            parts, source, objective, groups=groups, seed=self.settings.seed, pieces=pieces, fingerprint=fingerprint
        )
        return task, pieces

    def _lm_config(self, epochs: int, lr: float, eval_every: int) -> TrainConfig:
        return TrainConfig(
            epochs=epochs, lr=lr, optimizer="adamw", schedule="cosine", warmup=max(1, round(_WARMUP * epochs)),
            clip_norm=1.0, stop="score" if eval_every else "none", keep="best" if eval_every else "last",
            patience=max(1, epochs), eval_every=eval_every, time_budget=self.settings.time_budget,
            seed=self.settings.seed,
        )  # fmt: skip

    def _told(self, name: str) -> None:
        for callback in self.options.callbacks:
            callback.stage_started(name)

    def _result(self, name: str) -> Path | None:
        folder = self.options.folder
        return None if folder is None else folder / f"{len(self.histories) + 1:02d}-{name}.safetensors"

    def _taken_back(self, name: str, task: StageTask) -> bool:
        """Whether the stage was through before, and then its result is in the modules again."""
        result = self._result(name)
        if result is None or not self.options.resume or not distributed.agreed_path(result):
            return False
        self.histories[name] = _restored(result, task)
        return True

    def _train(self, name: str, task: StageTask, config: TrainConfig, *, must_rise: bool = False) -> None:
        """A stage to its end; one that `must_rise` and does not raise the validation score leaves all as it was."""
        options, result = self.options, self._result(name)
        if self._taken_back(name, task):
            return
        self._told(name)
        state = None if result is None else result.with_suffix(".state")
        held: dict[str, Tensor] = {}
        if must_rise:
            held = {key: value.clone() for key, value in distributed.full_state(task.module).items()}
            task.before = task.score()
        history = train(
            task, config, callbacks=options.callbacks, checkpoint=state, checkpoint_every=options.every,
            resume=options.resume, rescue=options.rescue, should_stop=options.should_stop,
        )  # fmt: skip
        if task.before is not None and not best_score(history) > task.before:
            distributed.load_full_state(task.module, held)
            history.kept_epoch = 0
        self.histories[name] = history
        tensors = {} if result is None else distributed.full_state(task.module)
        if result is not None and state is not None and distributed.is_main():
            facts = {"graphrep": _FORMAT, "fingerprint": task.fingerprint(), "history": json.dumps(history.to_dict())}
            write_tensors(result, tensors, facts)
            state.unlink(missing_ok=True)
        distributed.barrier()


def _restored(path: Path, task: StageTask) -> History:
    """Puts the result of a stage that is through back into the modules.

    Raises:
        CheckpointMismatchError: of another run.
    """
    tensors, facts = read_tensors(path)
    if facts.get("graphrep") != _FORMAT or facts.get("fingerprint") != task.fingerprint():
        raise CheckpointMismatchError(
            f"{path} belongs to another graph or other settings: it holds {facts.get('fingerprint')}, this run is "
            f"{task.fingerprint()}.",
            hint="the graph and the settings of the interrupted run, or a new folder",
        )
    distributed.load_full_state(task.module, tensors)
    return History.from_dict(json.loads(facts["history"]))


def _probabilities(head: nn.Module, rows: Tensor) -> Tensor:
    before = head.training
    head.eval()
    found: Tensor = head(rows.to(next(head.parameters()).device)).float().softmax(1).cpu()
    head.train(before)
    return found
