"""LM-GNN: a language model on the texts of nodes and a graph network on its vectors, stage by stage or together."""

from __future__ import annotations

import os
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any, Self

from graphrep.errors import GraphrepError
from graphrep.methods._lmgnn_data import Lesson, lesson
from graphrep.methods._lmgnn_model import TextGraphModel, modules
from graphrep.methods._lmgnn_setup import (
    Shape,
    check_settings,
    check_task,
    heads,
    language_model,
    network,
    objective_of,
    texts_of,
)
from graphrep.methods._lmgnn_stages import Options, Run
from graphrep.methods._lmgnn_task import best_score
from graphrep.train import Callback, seeded

__all__ = ["LMGNN"]

_FREE = (  # when resumed
    "epochs", "patience", "eval_every", "time_budget", "device", "parallel", "cache_dir", "lm", "tokenizer",
    "chunk_size",
)  # fmt: skip


class LMGNN(TextGraphModel):
    """Node vectors from texts and graph, by a language model and a graph network.

    Stages, in the order they are named:

    - ``lm``: the language model alone learns the links, or the labels where a tenth of the nodes has one;
    - ``gnn``: the graph network on its vectors, which are computed once and kept;
    - ``joint``: both together on sampled neighbourhoods: up to `live_nodes` texts of a step pass the language model
      with gradient, the others have their vectors from the cache, which follows; where the score of the validation
      part does not rise, the state before the stage is kept, and ``notes_`` says so;
    - ``glem``: alternating, each learns the labels and the other's guesses on the nodes without (node classification).

    All stages share one split: held-out links are in no stage's edges. Frozen vectors are ``stages=("gnn",)``.

    Args:
        lm: a model directory, a transformers model or a :class:`~graphrep.nn.TextEncoder` with `tokenizer`, or None: a
            small BERT is trained on the graph's texts, far weaker than a pretrained one.
        task: ``"node"``, ``"edge"`` (classes of pairs) or ``"link"``; ``"auto"``: link for a LinkSplit or a graph
            without labels, edge where `fit` gets pairs, else node.
        stages: see above.
        conv: of the network; ``"auto"``: gcn for one node type, rgcn for several. See
            :class:`~graphrep.nn.TextGraphEncoder` also for num_layers, num_bases, heads, dropout and jumping.
        input_dropout: share of the entries of text vectors and features that are dropped; None: `dropout`.
        dim: width of the vectors; hidden_dim: of the layers before, None: the same.
        use_features: whether the graph's features join the text vectors.
        text_length: tokens per text. pooling: see :class:`~graphrep.nn.TextEncoder`.
        lm_layers: top layers that are trained; None: all, 0: none. lora: rank of adapters in place of the layers.
        lm_objective: of stage ``lm``: ``"link"``, ``"label"`` or ``"auto"``, as above.
        lm_epochs, lm_lr, lm_batch_size, lm_negatives: of stage ``lm``: passes, rate, links or labels per step, further
            texts per step that serve as negatives. `lm_lr` is also the language model's rate in ``joint``.
        layer_cache: keep the states below the trained layers in stage ``lm``, two bytes times width per token.
        epochs, lr, weight_decay, patience, clip_norm: of ``gnn``; the epoch is chosen on the validation part. Biases
            have no weight decay.
        batch_size: seeds of a step with sampled neighbours; None: the whole graph in each step.
        links_per_step: links of a step over the whole graph.
        num_neighbors: sampled per hop.
        live_nodes: see above; -1: all that were sampled. live_scheme: ``"seeds"`` first, or ``"uniform"``.
        joint_epochs, joint_lr: passes of ``joint``, and the network's rate there.
        refresh_every: steps after which all texts are encoded again in ``joint``; None: once a pass.
        scale_live: scale the gradient of the live texts by nodes over live ones.
        loss: of links: ``"info_nce"``, ``"bce"``, ``"bpr"`` or ``"adversarial"``. scorer: ``"cosine"``, ``"dot"``,
            ``"distmult"``, ``"transe"``. temperature: of info_nce. num_negatives: nodes that all links of a step share
            as negatives; known links among them are left out. log_q: correct for how often a node is drawn.
        exclude_targets: the links of a step are out of its graph.
        relations: edge types whose links are predicted; None: all.
        pair_head: ``"concat"`` or ``"product"`` of both ends' vectors.
        pseudo_weight: of guesses in ``glem``. rounds: of ``glem``.
        validation: share of labels or links to hold out where the data has no validation part; None: nothing.
        precision: of the language model: ``"bfloat16"`` (autocast), ``"float32"``, or ``"auto"``: the faster one here.
        chunk_size, gradient_checkpointing: texts per pass of the language model, and computing them again for the
            gradient: memory of one chunk.
        cache_dir: folder for text vectors that later runs with equal model and texts take up.
        parallel: in several processes (:mod:`graphrep.train.distributed`): ``"ddp"``, each holds the language model, or
            ``"fsdp"``, its layers, gradients and moments are shared out while it is trained.
        eval_every: epochs between two looks at the validation part. time_budget: seconds per stage. seed. device.

    Attributes:
        embedding_: (N, dim) of the target type; embeddings_: the same by type.
        text_embedding_: (N, h) text vectors of the target type, None where it has no text.
        history_: the last stage's course, with those before in ``earlier``; stages_: by stage.
        encoder_, tokenizer_: the language model. module_: network and heads.
        notes_: plain sentences that a user must be told.
        ids_, trained_on_: as for every trained method.

    Source: Ioannidis et al., "Efficient and effective training of language and graph neural network models", 2022,
    arXiv:2206.10781; GLEM: Zhao et al., ICLR 2023, arXiv:2210.14709. Stage defaults, cache with write-back and masks of
    known links are this package's.

    Example:
        >>> import torch
        >>> from graphrep import Graph
        >>> from graphrep.nn import small_bert
        >>> words = ["graph node edge", "node edge", "text word", "word text token"]
        >>> ring = torch.tensor([[0, 1, 2, 3], [1, 0, 3, 2]])
        >>> graph = Graph(ring, y=torch.tensor([0, 0, 1, 1]), text=words)
        >>> bert = small_bert(words, vocab_size=64, dim=16, epochs=0)
        >>> model = LMGNN(bert.model, tokenizer=bert.tokenizer, dim=8, epochs=5, stages=("gnn",)).fit(graph)
        >>> model.predict().shape, model.embed_texts(["edge of a graph"]).shape
        (torch.Size([4]), torch.Size([1, 8]))
    """

    def __init__(
        self,
        lm: Any = None,
        *,
        task: str = "auto",
        stages: Sequence[str] = ("lm", "gnn"),
        conv: str = "auto",
        dim: int = 128,
        hidden_dim: int | None = None,
        num_layers: int = 2,
        num_bases: int | None = None,
        heads: int = 4,
        dropout: float = 0.5,
        input_dropout: float | None = None,
        jumping: bool = False,
        use_features: bool = True,
        text_length: int = 128,
        tokenizer: Any = None,
        pooling: str = "mean",
        lm_layers: int | None = 2,
        lora: int | None = None,
        lm_objective: str = "auto",
        lm_epochs: int = 1,
        lm_lr: float = 5e-5,
        lm_batch_size: int = 64,
        lm_negatives: int = 64,
        layer_cache: bool = True,
        epochs: int = 120,
        lr: float = 1e-2,
        weight_decay: float = 5e-4,
        patience: int = 60,
        clip_norm: float | None = None,
        batch_size: int | None = None,
        links_per_step: int = 1024,
        num_neighbors: Sequence[int] = (10, 10),
        live_nodes: int = 32,
        live_scheme: str = "seeds",
        joint_epochs: int = 1,
        joint_lr: float = 1e-3,
        refresh_every: int | None = None,
        scale_live: bool = False,
        loss: str = "info_nce",
        scorer: str = "cosine",
        temperature: float = 0.1,
        num_negatives: int = 1024,
        log_q: bool = False,
        exclude_targets: bool = True,
        relations: Sequence[Any] | None = None,
        pair_head: str = "concat",
        pseudo_weight: float = 0.5,
        rounds: int = 1,
        validation: float | None = 0.1,
        precision: str = "bfloat16",
        chunk_size: int | None = None,
        gradient_checkpointing: bool = False,
        cache_dir: str | None = None,
        eval_every: int = 1,
        time_budget: float | None = None,
        parallel: str = "ddp",
        device: str = "cpu",
        seed: int = 0,
    ) -> None:
        self.lm = lm
        self.task = task
        self.stages = stages
        self.conv = conv
        self.dim = dim
        self.hidden_dim = hidden_dim
        self.num_layers = num_layers
        self.num_bases = num_bases
        self.heads = heads
        self.dropout = dropout
        self.input_dropout = input_dropout
        self.jumping = jumping
        self.use_features = use_features
        self.text_length = text_length
        self.tokenizer = tokenizer
        self.pooling = pooling
        self.lm_layers = lm_layers
        self.lora = lora
        self.lm_objective = lm_objective
        self.lm_epochs = lm_epochs
        self.lm_lr = lm_lr
        self.lm_batch_size = lm_batch_size
        self.lm_negatives = lm_negatives
        self.layer_cache = layer_cache
        self.epochs = epochs
        self.lr = lr
        self.weight_decay = weight_decay
        self.patience = patience
        self.clip_norm = clip_norm
        self.batch_size = batch_size
        self.links_per_step = links_per_step
        self.num_neighbors = num_neighbors
        self.live_nodes = live_nodes
        self.live_scheme = live_scheme
        self.joint_epochs = joint_epochs
        self.joint_lr = joint_lr
        self.refresh_every = refresh_every
        self.scale_live = scale_live
        self.loss = loss
        self.scorer = scorer
        self.temperature = temperature
        self.num_negatives = num_negatives
        self.log_q = log_q
        self.exclude_targets = exclude_targets
        self.relations = relations
        self.pair_head = pair_head
        self.pseudo_weight = pseudo_weight
        self.rounds = rounds
        self.validation = validation
        self.precision = precision
        self.chunk_size = chunk_size
        self.gradient_checkpointing = gradient_checkpointing
        self.cache_dir = cache_dir
        self.eval_every = eval_every
        self.time_budget = time_budget
        self.parallel = parallel
        self.device = device
        self.seed = seed

    def fit(
        self,
        graph: Any,
        *,
        splits: Any = None,
        pairs: Any = None,
        labels: Any = None,
        pair_type: Any = None,
        callbacks: Sequence[Callback] = (),
        checkpoint: str | os.PathLike[str] | None = None,
        checkpoint_every: float = 30.0,
        resume: bool = False,
        rescue: str | os.PathLike[str] | None = None,
        should_stop: Callable[[], bool] | None = None,
    ) -> Self:
        """Trains all stages, and embeds the graph.

        Args:
            graph: a Graph or HeteroGraph with text, or a LinkSplit over a Graph with text, whose test pairs play no
                part.
            splits: node or pair numbers as a :class:`~graphrep.data.NodeSplit` or {"train", "val", "test"}; None:
                the graph's own, else all labels, of which some are held out to validate.
            pairs: (2, P) node numbers whose classes are learned (task ``"edge"``).
            labels: (P,) their classes.
            pair_type: the node types that they join; needed where there are several.
            callbacks: told about stages, steps and epochs.
            checkpoint: a folder for states and results of the stages and for text vectors; None saves none.
            checkpoint_every: seconds between two states.
            resume: go on from the folder: stages that are through are taken back, the one that was interrupted goes on
                from its last state, encoding from the rows that are there.
            rescue: file for the last good weights should a stage diverge.
            should_stop: asked after every epoch and between batches of encoding.

        Raises:
            MissingFeaturesError, MissingLabelsError, EmptyGraphError: the graph lacks what the task needs.
            LeakySplitError: parts overlap, or held-out links are among the training links.
            CheckpointMismatchError: the folder is of another run.
            DivergedError, Interrupted: as :func:`graphrep.train.train` says.
            GraphrepError, UnknownNameError: settings that do not fit.
        """
        check_settings(self)
        found = lesson(
            graph, task=self.task, splits=splits, pairs=pairs, labels=labels, pair_type=pair_type,
            relations=self.relations, validation=self.validation, features=self.use_features, seed=self.seed,
        )  # fmt: skip
        check_task(self, found)
        folder = None if checkpoint is None else Path(checkpoint)
        if folder is not None:
            folder.mkdir(parents=True, exist_ok=True)
        run = self._run(found, Options(callbacks, folder, checkpoint_every, resume, rescue, should_stop))
        run.run()
        self._finish(run, found)
        return self

    def _run(self, found: Lesson, options: Options) -> Run:
        """Everything that is trained, as it is before the first stage."""

        def told(done: int, total: int, rate: float) -> None:
            for callback in options.callbacks:
                callback.part_done(0, done / max(total, 1))

        encoder, tokenizer, note = language_model(self, found.graph, options.folder, told)
        texts = texts_of(self, encoder, tokenizer, found.graph.text)
        self.lm_objective_ = objective_of(self, found)
        self._made = Shape.of(found, encoder.dim)
        with seeded(self.seed):
            model = network(self, self._made).to(self.device)
            head, text_head = (
                part if part is None else part.to(self.device) for part in heads(self, self._made, self.lm_objective_)
            )
        assert head is not None
        self.encoder_, self.tokenizer_ = encoder, tokenizer
        self.module_ = modules(model, head, text_head)
        self.notes_ = [*found.notes, *([note] if note else [])]
        start = "" if options.folder is None else encoder.weights_digest()
        fingerprint = f"{self._fingerprint(_FREE)}, {found.digest()}, texts {texts.table.digest}, weights {start}"
        return Run(self, found, texts, model, head, text_head, fingerprint=fingerprint, options=options)

    def _finish(self, run: Run, found: Lesson) -> None:
        graph = found.graph
        target = graph.target
        self.stages_ = run.histories
        joint = run.histories.get("joint")
        if joint is not None and joint.epochs and not joint.kept_epoch:
            before_it = [log.signals["before"] for log in joint.epochs if "before" in log.signals]
            told = "was over before a first look at the validation part"
            if before_it:
                told = f"reached {best_score(joint):.3f} on the validation part and found {before_it[0]:.3f} there"
            self.notes_.append(f"the joint stage {told}, so the state before it is kept.")
        *before, last = run.histories.values()
        last.earlier = before
        self.history_ = last
        self.ids_, self.trained_on_ = graph.ids, graph.name
        self.text_embedding_ = run.text_vectors(target).cpu() if target in graph.text else None
        if self._has_network:
            self.embeddings_ = {kind: rows.cpu() for kind, rows in run.whole().items()}
        else:
            self.embeddings_ = {kind: run.text_vectors(kind).cpu() for kind in graph.text}
        if target not in self.embeddings_:
            raise GraphrepError(f"{target} has no text, and no stage trains a network.", hint='stages=("lm", "gnn")')
        self.embedding_ = self.embeddings_[target]
        self.module_.eval()
        self.encoder_.eval()
