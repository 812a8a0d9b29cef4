#include "graph/graph.h"

#include "graph/head.h"
#include "graph/parts.h"

namespace localft {

namespace {

// A layer: its parts one after the other, and backwards.
class LayerGraph {
public:
    // Its places where LoRA reads are numbered from `first_stream`, which moves on behind them.
    LayerGraph(const Layer & layer, uint64_t & first_stream) {
        for (const Part & part : layer.parts) std::visit([&](const auto & weights) { add(weights, first_stream); }, part);
    }

    // Returns what the layer makes of x; where not `whole`, null: what only the next layer would read is left out.
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
    template <typename Weights>
    void add(const Weights & weights, uint64_t & first_stream) {
        using Graph = typename GraphOf<Weights>::type;
        parts_.push_back(Graph(weights, first_stream));
        first_stream += Graph::N_STREAM;
    }

    bool lora_below(const Lora & lora, size_t end) const {
        for (size_t i = 0; i < end; i++)
            if (std::visit([&](const auto & part) { return part.has_lora(lora); }, parts_[i])) return true;
        return false;
    }

    std::vector<PartGraph> parts_;
    ggml_tensor *          x_ = nullptr;
};

size_t max_nodes(const Model::Impl & m, bool plain, size_t n_row, int64_t n_supervised) {
    size_t n = 256 + 64 * (size_t) (n_supervised / chunk_rows(m.hparams.n_vocab) + 1);
    for (const Layer & layer : m.layers)
        for (const Part & part : layer.parts)
            n += std::visit([&](const auto & w) { return GraphOf<std::decay_t<decltype(w)>>::type::max_nodes(m.hparams, plain, n_row); }, part);
    return n;
}

GraphContext add_inputs(PassGraph & g, const Model::Impl & model, const Lora & lora, Pass pass, int64_t n_tok, int64_t n_supervised) {
    g.x0        = g.ops->input(GGML_TYPE_F32, model.hparams.n_embd, n_tok);
    g.positions = g.ops->input(GGML_TYPE_I32, n_tok);
    if (pass == Pass::train) g.positions_back = g.ops->input(GGML_TYPE_I32, n_tok);
    if (n_supervised < n_tok) g.supervised = g.ops->input(GGML_TYPE_I32, n_supervised);
    return { *g.ops, lora, model.hparams, g.positions, g.positions_back };
}

} // namespace

bool is_view(const ggml_tensor * t) {
    return t->op == GGML_OP_NONE || t->op == GGML_OP_RESHAPE || t->op == GGML_OP_VIEW || t->op == GGML_OP_PERMUTE || t->op == GGML_OP_TRANSPOSE;
}

std::string describe(const ggml_tensor * t) {
    std::string text = ggml_op_desc(t);
    for (int i = 0; i < GGML_MAX_SRC && t->src[i]; i++) text += std::string(i ? "," : " ") + ggml_type_name(t->src[i]->type);
    return text + " -> " + ggml_type_name(t->type);
}

PassGraph build(const Model::Impl & model, const Lora & lora, const GraphOptions & options, Pass pass, const std::vector<int32_t> & row_starts,
                int64_t n_supervised) {
    const Hparams & h = model.hparams;
    PassGraph       g;
    g.ops                = std::make_unique<Ops>(lora, options.table, options.int16, max_nodes(model, !options.table, row_starts.size(), n_supervised));
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
