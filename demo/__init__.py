"""The embedded model: drawn pictures, a tiny Phi-3-vision trained on them, and what it can do, measured.

Knows the package's vision pipeline and prompt encoder, so that training sees exactly what is served. The
server knows nothing of it, and has its weights in compact form (`phiserve.checkpoint.demo`).

- drawing: `book`, `chart`, `shapes` and `lines` make scenes (`scene`) on a `canvas`, with `fonts`, `words`,
  `palette`, `style`; `kinds` lists them, `pairs` compares two of them, `talk` needs none
- asking: `asking` chooses questions, `language` and `vocabulary` turn them into tokens, `batches` and
  `packing` into arrays
- tools: `shop` has two and what is asked of them, `surroundings` what agents say around it; `asking_shop` and
  `batches_shop` make batches of both
- decisions: `posed` has questions with options, about shapes, pictures and texts (`posed_shapes`,
  `posed_pictures`, `posed_texts`); `lettered` encodes them as the server does, `batches_letters` makes
  batches
- the model: `tower`, `decoder`, `model`; what it is asked in training only: `reader`, `roles`, `transcript`
- training: `training` drives `train_tower`, `train_projection`, `train`, `train_further`, `train_shop`,
  `train_letters`, the last two `held` to what was learned before; `export` puts the weights into the package,
  from which `regain` makes a training state again
- measuring: `exam` asks held-out questions, `breakage` with broken pictures, `exam_shop` with tools,
  `exam_letters` for decisions; `evaluate`, `evaluate_shop` and `evaluate_letters` ask them through the
  server, `posting` as a client would; `card` writes it down
- README's pictures: `examples`, `recording`
"""
