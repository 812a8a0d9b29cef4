// The end of a graph: the last norm and the output matrix, at supervised positions, in chunks.
#pragma once

#include "graph/graph.h"
#include "graph/parts.h"

namespace localft {

// Adds the loss of each supervised position to `g`. `first_stream`: of the first chunk, for dropout; each has its own.
// Returns the gradient of x over all positions, where a pass that trains needs one below the head; else null.
ggml_tensor * add_head(PassGraph & g, const GraphContext & c, const Model::Impl & model, ggml_tensor * x, Pass pass, int64_t n_supervised,
                       uint64_t first_stream);

// Adds the logits of all positions to `g`.
void add_logits(PassGraph & g, const GraphContext & c, const Model::Impl & model, ggml_tensor * x);

// Supervised positions in one chunk: so many that their logits take about 64 MiB.
int64_t chunk_rows(int64_t n_vocab);

} // namespace localft
