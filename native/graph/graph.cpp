#include "graph/graph.h"

#include "graph/head.h"
#include "graph/parts.h"

namespace localft {

namespace {

// A layer: its parts one after the other, and backwards.
class LayerGraph {
public:
    LayerGraph(const Layer & layer, uint64_t & first_stream) {
        for (const Part & part : layer.parts) parts_.push_back(part_graph(part, first_stream));
    }

    // Returns the stream after the layer; where not `whole`, null: what only the next layer would read is left out.
    ggml_tensor * forward(const GraphContext & c, ggml_tensor * x, bool keep, bool whole) {
        x_ = x;
        for (size_t i = 0; i < parts_.size(); i++)
            x = std::visit([&](auto & part) { return part.forward(c, x, keep, whole || i + 1 < parts_.size()); }, parts_[i]);
        return x;
    }

    // The same once more, from the layer's input, for a backward pass whose activations were not kept.
    void recompute(const GraphContext & c) { forward(c, x_, true, false); }

    // Returns the gradient of the layer's input, or null unless `need_dx`. Below its lowest LoRA nothing is computed.
    ggml_tensor * backward(const GraphContext & c, ggml_tensor * dy, bool need_dx) {
        for (size_t i = parts_.size(); i-- > 0 && dy;) {
            const bool need = need_dx || lora_below(c.lora, i);
            dy              = std::visit([&](auto & part) { return part.backward(c, dy, need); }, parts_[i]);
        }
        return dy;
    }

private:
    bool lora_below(Lora & lora, size_t end) const {
        for (size_t i = 0; i < end; i++)
            if (std::visit([&](const auto & part) { return part.has_lora(lora); }, parts_[i])) return true;
        return false;
    }

    std::vector<PartGraph> parts_;
    ggml_tensor *          x_ = nullptr;
};

// Bounds for a layer that recomputes, with LoRA and dropout on every matrix; a test runs that.
size_t max_nodes(const Hparams & h, bool plain, size_t n_row, int64_t n_supervised) {
    const size_t per_row   = 96 + 8 * (size_t) (h.n_head / h.n_head_kv);
    const size_t per_layer = 256 + (plain ? 320 + per_row * n_row : 0);
    return 256 + (size_t) h.n_layer * per_layer + 64 * (size_t) (n_supervised / chunk_rows(h.n_vocab) + 1);
}

GraphContext add_inputs(StepGraph & g, Model::Impl & model, Lora & lora, Pass pass, int64_t n_tok, int64_t n_supervised) {
    g.x0        = g.ops->input(GGML_TYPE_F32, model.hparams.n_embd, n_tok);
    g.positions = g.ops->input(GGML_TYPE_I32, n_tok);
    if (pass == Pass::train) g.positions_back = g.ops->input(GGML_TYPE_I32, n_tok);
    if (n_supervised < n_tok) g.supervised = g.ops->input(GGML_TYPE_I32, n_supervised);
    return { *g.ops, lora, model.hparams, model.rope_freqs, g.positions, g.positions_back };
}

} // namespace

PartGraph part_graph(const Part & part, uint64_t & first_stream) {
    const uint64_t first = first_stream;
    if (const auto * attention = std::get_if<Attention>(&part)) {
        first_stream += AttentionGraph::N_STREAM;
        return AttentionGraph(*attention, first);
    }
    first_stream += FeedForwardGraph::N_STREAM;
    return FeedForwardGraph(std::get<FeedForward>(part), first);
}

StepGraph build(Model::Impl & model, Lora & lora, const GraphOptions & options, Pass pass, const std::vector<int32_t> & row_starts, int64_t n_supervised) {
    const Hparams & h = model.hparams;
    StepGraph       g;
    g.ops                = std::make_unique<Ops>(lora, options.table, options.int16, max_nodes(h, !options.table, row_starts.size(), n_supervised));
    g.ops->row_starts    = row_starts;
    g.ops->lora_scale    = options.lora_scale;
    g.ops->dropout       = pass == Pass::train ? options.dropout : 0.0f;
    g.ops->dropout_seed  = options.dropout_seed;
    const GraphContext c = add_inputs(g, model, lora, pass, row_starts.back(), n_supervised);

    uint64_t                stream = 0;
    std::vector<LayerGraph> layers;
    for (const Layer & layer : model.layers) layers.emplace_back(layer, stream);
    const int64_t lowest  = lora.lowest_layer();
    const auto    is_kept = [&](int64_t il) { return pass == Pass::train && il >= lowest && il >= options.n_recompute; };

    ggml_tensor * x = g.x0;
    for (int64_t il = 0; il < h.n_layer; il++) x = layers[il].forward(c, x, is_kept(il), true);
    g.ops->in_head   = true;
    ggml_tensor * dx = nullptr;
    if (pass == Pass::logits) add_logits(g, c, model, x);
    else dx = add_head(g, c, model, x, pass, n_supervised, stream);
    g.ops->in_head = false;
    if (pass != Pass::train) return g;
    for (int64_t il = h.n_layer - 1; il >= lowest; il--) {
        if (il < options.n_recompute) layers[il].recompute(c);
        dx = layers[il].backward(c, dx, il > lowest);
    }
    return g;
}

} // namespace localft
